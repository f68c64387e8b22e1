"""The files and folders that a configuration names: whether they are there, and what they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tinyvmi_build import files
from tinyvmi_build.config.load import Loaded
from tinyvmi_build.errors import UsageError, UsageErrors
from tinyvmi_build.kernel.modules import module_name
from tinyvmi_build.kernel.package import kernel_path, require_kernel
from tinyvmi_build.profile.profile import ProfileFile


def require_sources(loaded: Loaded) -> None:
    """Raise UsageError, or UsageErrors, naming every file that cannot be used and where it is named."""
    errors = []
    for key, check in _checks(loaded):
        try:
            check()
        except UsageError as error:
            errors.append(UsageError(f"{loaded.origins[key]}: {error.message}", hint=error.hint))
    if errors:
        raise errors[0] if len(errors) == 1 else UsageErrors(errors)


def _checks(loaded: Loaded) -> Iterator[tuple[str, Callable[[], object]]]:
    """(the key that names it, what fails if it cannot be used) of each file."""
    kernel, tree = loaded.config.kernel, loaded.config.minios.tree
    for path in kernel.packages:
        yield "kernel.packages", partial(_kernel, path)
    for path in kernel.modules:
        yield "kernel.modules", partial(_modules, path)
    if kernel.profile is not None:
        yield "kernel.profile", partial(ProfileFile.load, kernel.profile)
    if isinstance(tree, Path):
        yield "minios.tree", partial(_folder, tree)


def _kernel(path: Path) -> None:
    require_kernel(kernel_path(path))


def _modules(path: Path) -> None:
    if path.is_dir():
        return
    if module_name(path.name) is None:
        require_kernel(path)
    else:
        files.open_regular(path, files.MODULE).close()


def _folder(path: Path) -> None:
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder", hint="it is to hold a tree of Mini-OS")
