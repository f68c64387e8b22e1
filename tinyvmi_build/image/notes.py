"""Decode the notes of Xen and of TinyVMI in an image."""

from __future__ import annotations

import json

from tinyvmi_build.elf.notes import Note
from tinyvmi_build.elf.reader import ElfError
from tinyvmi_build.render.descriptor import NOTE_OWNER, NOTE_TYPE

# xen/include/public/elfnote.h: number → (name, is a string)
XEN_NOTES = {
    0: ("INFO", False),
    1: ("ENTRY", False),
    2: ("HYPERCALL_PAGE", False),
    3: ("VIRT_BASE", False),
    4: ("PADDR_OFFSET", False),
    5: ("XEN_VERSION", True),
    6: ("GUEST_OS", True),
    7: ("GUEST_VERSION", True),
    8: ("LOADER", True),
    9: ("PAE_MODE", True),
    10: ("FEATURES", True),
    11: ("BSD_SYMTAB", True),
    12: ("HV_START_LOW", False),
    13: ("L1_MFN_VALID", False),
    14: ("SUSPEND_CANCEL", False),
    15: ("INIT_P2M", False),
    16: ("MOD_START_PFN", False),
    17: ("SUPPORTED_FEATURES", False),
    18: ("PHYS32_ENTRY", False),
}


def xen(note: Note) -> tuple[str, str] | None:
    """(name, value as text) of a note of Xen's; None if it is not Xen's."""
    if note.owner != "Xen":
        return None
    name, is_text = XEN_NOTES.get(note.type, (f"type {note.type}", False))
    if is_text:
        return name, note.desc.rstrip(b"\0").decode("latin-1")
    if len(note.desc) in (4, 8):
        return name, f"0x{int.from_bytes(note.desc, 'little'):x}"
    # L1_MFN_VALID is a pair of numbers; what is unknown is shown as it is.
    return name, " ".join(
        f"0x{int.from_bytes(note.desc[i : i + 8], 'little'):x}" for i in range(0, len(note.desc), 8)
    )


def tinyvmi(note: Note) -> dict[str, object] | None:
    """The description in a TinyVMI note; None if it is another.  ElfError if it is damaged."""
    if (note.owner, note.type) != (NOTE_OWNER, NOTE_TYPE):
        return None
    try:
        value = json.loads(note.desc)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ElfError("the TinyVMI note is damaged")
    return value
