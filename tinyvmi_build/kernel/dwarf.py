"""The types in a vmlinux with DWARF (CONFIG_DEBUG_INFO), as BTF, for kernels without one.

One structure of each name is taken, the first that is complete: a kernel's
compilation units repeat them.  Read with pyelftools, which is slow: only the types that
structures at the top of the units need are followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinyvmi_build.errors import TinyVMIError, UsageError
from tinyvmi_build.files import SYMBOLS, open_regular
from tinyvmi_build.kernel.btf import Btf, Kind
from tinyvmi_build.kernel.btf_write import BtfWriter, Field

_COMPOUND = {"DW_TAG_structure_type": False, "DW_TAG_union_type": True, "DW_TAG_class_type": False}
_ENUM = "DW_TAG_enumeration_type"
_REFERENCES = {
    "DW_TAG_pointer_type": Kind.PTR,
    "DW_TAG_typedef": Kind.TYPEDEF,
    "DW_TAG_const_type": Kind.CONST,
    "DW_TAG_volatile_type": Kind.VOLATILE,
    "DW_TAG_restrict_type": Kind.RESTRICT,
    "DW_TAG_atomic_type": Kind.VOLATILE,  # BTF has no kind of its own for it
}
_TOP = {*_COMPOUND, _ENUM, "DW_TAG_typedef", "DW_TAG_base_type"}
_SIGNED = (5, 6)  # DW_ATE_signed, DW_ATE_signed_char
_FLOAT = 4  # DW_ATE_float


def dwarf_btf(path: Path) -> Btf:
    """The types of the ELF file at `path`; UsageError if it cannot be read or carries no DWARF."""
    from elftools.elf.elffile import ELFFile

    try:
        with open_regular(path, SYMBOLS) as handle:
            elf = ELFFile(handle)
            if not elf.has_dwarf_info(strict=True):
                raise UsageError(f"{path}: no DWARF in it", hint=_HINT)
            data = _Converter(elf.get_dwarf_info()).convert()
    except (TinyVMIError, ImportError):
        raise
    except Exception as error:  # pyelftools has no bound on what a damaged file makes it raise
        raise UsageError(
            f"{path}: its DWARF is damaged: {type(error).__name__}: {error}", hint=_HINT
        ) from None
    return Btf(data, path.name)


_HINT = "the -dbg package of a distribution has the vmlinux with CONFIG_DEBUG_INFO"


class _Converter:
    def __init__(self, info: Any):
        self.info = info
        self.out = BtfWriter()
        self.by_offset: dict[int, int] = {}
        self.by_name: dict[tuple[str, str], int] = {}
        self.pending: list[tuple[int, Any]] = []
        self.declared: set[int] = set()  # ids reserved for what was only declared so far

    def convert(self) -> bytes:
        for unit in self.info.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag in _TOP:
                    self._id(die)
                    self._finish()
        return self.out.data()

    def _finish(self) -> None:
        """Define what has been named so far, and what that names; without recursion."""
        while self.pending:
            at, die = self.pending.pop()
            self._define(at, die)

    def _id(self, die: Any | None) -> int:
        if die is None:
            return 0  # void
        known = self.by_offset.get(die.offset)
        if known is None:
            name = _name(die)
            complete = "DW_AT_declaration" not in die.attributes
            # Pointers to what is only declared here lead to its definition elsewhere.
            key = ("struct" if die.tag in _COMPOUND else die.tag, name)
            known = self.by_name.get(key) if name else None
            if known is None:
                known = self.out.reserve()
                if name:
                    self.by_name[key] = known
                    if not complete:
                        self.declared.add(known)
                if complete:
                    self.pending.append((known, die))
            elif complete and known in self.declared:
                self.declared.discard(known)
                self.pending.append((known, die))
            self.by_offset[die.offset] = known
        return known

    def _target(self, die: Any) -> int:
        return self._id(die.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in die.attributes else None)

    def _define(self, at: int, die: Any) -> None:
        out, name, size = self.out, _name(die), _number(die, "DW_AT_byte_size")
        if die.tag == "DW_TAG_base_type":
            encoding = _number(die, "DW_AT_encoding")
            if encoding == _FLOAT:
                out.floating(name, size, at)
            else:
                out.integer(name, size, encoding in _SIGNED, at)
        elif die.tag in _REFERENCES:
            out.reference(_REFERENCES[die.tag], self._target(die), name, at)
        elif die.tag in _COMPOUND:
            fields = [f for child in die.iter_children() if (f := self._field(child))]
            out.compound(_COMPOUND[die.tag], name, size, fields, at)
        elif die.tag == _ENUM:
            constants = {
                _name(child): _number(child, "DW_AT_const_value")
                for child in die.iter_children()
                if child.tag == "DW_TAG_enumerator"
            }
            out.enum(name, size, any(v < 0 for v in constants.values()), constants, at)
        elif die.tag == "DW_TAG_array_type":
            self._array(at, die)
        else:
            out.function(at)

    def _array(self, at: int, die: Any) -> None:
        counts = [_count(child) for child in die.iter_children() if child.tag == "DW_TAG_subrange_type"]
        element = self._target(die)
        for count in reversed(counts[1:]):
            element = self.out.array(element, count)
        self.out.array(element, counts[0] if counts else 0, at)

    def _field(self, die: Any) -> Field | None:
        if die.tag != "DW_TAG_member":
            return None
        bits = _number(die, "DW_AT_bit_size")
        offset = 8 * _number(die, "DW_AT_data_member_location")
        if "DW_AT_data_bit_offset" in die.attributes:
            offset = _number(die, "DW_AT_data_bit_offset")
        elif bits:  # DWARF 3: counted from the unit's most significant bit
            unit = 8 * _number(die, "DW_AT_byte_size")
            offset += unit - bits - _number(die, "DW_AT_bit_offset")
        return Field(_name(die), self._target(die), offset, bits)


def _name(die: Any) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode("ascii", "backslashreplace") if attribute else ""


def _number(die: Any, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else 0


def _count(die: Any) -> int:
    if "DW_AT_count" in die.attributes:
        return _number(die, "DW_AT_count")
    return _number(die, "DW_AT_upper_bound") + 1 if "DW_AT_upper_bound" in die.attributes else 0
