"""The Python packages that the tool uses and a machine may lack: what to install for each."""

from __future__ import annotations

from tinyvmi_build.errors import MissingEnvironmentError

# Top-level module → (package of PyPI, Debian's package).  blake3 is in no release of Debian.
_PACKAGES = {
    "blake3": ("blake3", None),
    "capstone": ("capstone", "python3-capstone"),
    "click": ("click", "python3-click"),
    "elftools": ("pyelftools", "python3-pyelftools"),
    "jinja2": ("jinja2", "python3-jinja2"),
    "lz4": ("lz4", "python3-lz4"),
    "lzo": ("python-lzo", "python3-lzo"),
    "mesonbuild": ("meson", "meson"),
    "ninja": ("ninja", "ninja-build"),
    "zstandard": ("zstandard", "python3-zstandard"),
}


def missing_package(error: ImportError) -> MissingEnvironmentError | None:
    """The error for a package that is not installed; None if the missing module is the tool's own."""
    module = (error.name or "").partition(".")[0]
    if module in ("", "tinyvmi_build", "tinyvmi-build"):
        return None
    if module not in _PACKAGES:
        return MissingEnvironmentError(
            f"the Python module '{module}' is missing",
            hint="install all of Python's standard library, e.g. apt-get install python3",
        )
    name, debian = _PACKAGES[module]
    pip = f"pip install {name}"
    return MissingEnvironmentError(
        f"the Python package '{name}' is missing",
        hint=f"apt-get install {debian}, or in a virtual environment {pip}"
        if debian
        else f"in a virtual environment: {pip}",
    )
