"""The checks that there are: every folder here that defines one.  Nothing else lists them."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.check import Check, FindingKind
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.module_reader import ModuleReader
from tinyvmi_build.profile.encoding import Blob
from tinyvmi_build.profile.golden import GoldenValues, Unsupported

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage
    from tinyvmi_build.profile.profile import KernelProfile

FOLDER = Path(__file__).parent


@cache
def checks() -> tuple[Check[Any], ...]:
    """Every check, in the order of a scan."""
    found: list[Check[Any]] = []
    for module in pkgutil.iter_modules([str(FOLDER)]):
        name = f"tinyvmi_build.checks.{module.name}.check"
        if module.ispkg and importlib.util.find_spec(name):  # a dom0 may have compiled files alone
            check = importlib.import_module(name).CHECK
            assert isinstance(check, Check) and check.identifier == module.name, module.name
            found.append(check)
    return tuple(sorted(found, key=lambda check: (check.order, check.name)))


def names() -> tuple[str, ...]:
    """The names of all checks, in the order of a scan."""
    return tuple(check.name for check in checks())


def find(name: str) -> Check[Any] | None:
    """The check called `name`; None if there is none."""
    return next((check for check in checks() if check.name == name), None)


def incremental() -> tuple[Check[Any], ...]:
    """The checks that have a form that runs between two scans."""
    return tuple(check for check in checks() if check.incremental)


def growing() -> list[str]:
    """The names of the checks whose cost depends on the kernel's size, or on how much the guest runs."""
    return [check.name for check in checks() if check.grows]


def module_reader() -> ModuleReader | None:
    """Of the check that takes golden values from the kernel's module files."""
    return next((check.module_reader for check in checks() if check.module_reader), None)


def finding_kinds() -> list[FindingKind]:
    """One kind of each name, sorted, as the generated <tinyvmi_checks.h> numbers them.

    Checks that report kinds of one name must agree on whether they are transient: the monitor knows the
    name alone.
    """
    found: dict[str, FindingKind] = {}
    for check in checks():
        for kind in check.kinds:
            other = found.setdefault(kind.name, kind)
            assert other.transient == kind.transient, f"{kind.name} is transient in one check only"
    return [found[name] for name in sorted(found)]


def compute(image: KernelImage) -> dict[str, GoldenValues | Unsupported]:
    """The golden values of `image` by check name, or why a check cannot verify it."""
    return {check.name: _golden(check, image) for check in checks()}


def _golden(check: Check[Any], image: KernelImage) -> GoldenValues | Unsupported:
    for need in check.needs:
        if missing := need.missing(image):
            return Unsupported(missing)
    try:
        values: GoldenValues = check.compute(image)
    except UnsupportedError as why:
        return Unsupported(str(why))
    return values


def gap(check: Check[Any], kernel: KernelProfile) -> str:
    """Why a check cannot verify a kernel, by its golden values and those it relies on; "" if it can."""
    reasons = (kernel.unsupported(name) for name in (check.name, *check.relies_on))
    return next(filter(None, reasons), "")


def contents(kernel: KernelProfile) -> list[tuple[int, Blob]]:
    """(link address, bytes) of each part of the kernel's file that the profile keeps."""
    return [
        check.content(values)
        for check in checks()
        if check.content and not isinstance(values := kernel.values(check.golden), Unsupported)
    ]


def patch_sites(kernel: KernelProfile) -> int:
    """How many sites the kernel patches in its own code."""
    return sum(
        check.patch_sites(values)
        for check in checks()
        if check.patch_sites and not isinstance(values := kernel.values(check.golden), Unsupported)
    )


def finding_kind(check: str, kind: str) -> FindingKind:
    """A kind of finding; one without any text if no check of that name reports it."""
    known = find(check)
    return (known and known.kind(kind)) or FindingKind(kind, "", "")


def template(check: Check[Any], name: str) -> str | None:
    """The name by which the templates' environment finds a check's template `name`; None if it has none."""
    if not (FOLDER / check.identifier / name).exists():
        return None
    return f"checks/{check.identifier}/{name}"
