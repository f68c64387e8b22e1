"""The checks that there are: every folder here that defines one.  Nothing else lists them."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.check import Check, FindingKind
from tinyvmi_build.checks.lib.unknown import Unknown

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

FOLDER = Path(__file__).parent


@cache
def checks() -> tuple[Check, ...]:
    """Every check, in the order of a scan."""
    found: list[Check] = []
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


def find(name: str) -> Check | None:
    """The check called `name`; None if there is none."""
    return next((check for check in checks() if check.name == name), None)


def incremental() -> tuple[Check, ...]:
    """The checks that have a form that runs between two scans."""
    return tuple(check for check in checks() if check.incremental)


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


def compute(image: KernelImage) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Golden values of `image` by check name, and their large tables by blob name.

    `kernel` stands beside the checks: what discovery needs.  It has no
    *unknown*: a kernel without it cannot be found, which raises UsageError.
    """
    from tinyvmi_build.checks.identity.golden import kernel

    golden: dict[str, Any] = {"kernel": kernel(image)}
    blobs: dict[str, bytes] = {}
    for check in checks():
        assert check.golden is not None
        try:
            golden[check.name] = check.golden(image)
            blobs.update(check.blobs(image) if check.blobs else {})
        except Unknown as why:
            golden[check.name] = {"unknown": str(why)}
    return golden, blobs


def template(check: Check, name: str) -> str | None:
    """The name by which the templates' environment finds a check's template `name`; None if it has none."""
    if not (FOLDER / check.identifier / name).exists():
        return None
    return f"checks/{check.identifier}/{name}"
