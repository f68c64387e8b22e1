"""text: every byte of .text; where the kernel patches itself, the encodings that the package allows.

What the package says of the sites is in `sites`, how each series patches in
`series` and `patch`, what that can come to in `shapes`; `regions` puts all
places in one order and `tables` into the monitor's form.  docs/design/checks/text.md
tells the whole of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyvmi_build.checks.text.tables import Tables
    from tinyvmi_build.kernel.image import KernelImage

_last: tuple[KernelImage, Tables] | None = None  # golden() and blobs() of one kernel share the work


def _tables(image: KernelImage) -> Tables:
    global _last
    from tinyvmi_build.checks.text.tables import Tables

    if _last is None or _last[0] is not image:
        _last = image, Tables(image)
    return _last[1]


def golden(image: KernelImage) -> dict[str, Any]:
    """Addresses (offsets from _text), choices and shapes; see `tables.Tables.golden`."""
    return _tables(image).golden()


def blobs(image: KernelImage) -> dict[str, bytes]:
    """The large tables; see `tables.Tables.blobs`."""
    global _last
    found = _tables(image).blobs()
    _last = None
    return found
