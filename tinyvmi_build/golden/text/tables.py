"""The places of .text as the monitor wants them (minios_app/include/tinyvmi/profile.h, struct tv_text)."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from tinyvmi_build.golden.rodata import BIAS, KINDS, LINE, PAGE
from tinyvmi_build.golden.unknown import Unknown, require

from .facts import Memory
from .regions import Kind, Regions
from .series import CALL_DEPTH, RETHUNK, RETPOLINE, RETPOLINE_LFENCE
from .shapes import ADD32, REL, SUB32, Sorted, Template
from .state import constants, poke
from .tracing import ftrace, kprobes, registries

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

CALL_BIAS = 16  # call-depth places are counted from this many bytes before a page
CALL, PAD, PAD_MAYBE = range(3)
#: Names of the functions that a hypervisor's guest support may put into pv_ops.
_PARAVIRT = re.compile(
    r"(__raw_callee_save_|native_|__native_|xen_|kvm_|__kvm_|hv_|vmware_|pv_native_|_?paravirt_|__paravirt_"
    r"|__ptep_|tlb_remove_|default_|nop_func$|BUG_func$|__pv_)"
)
_NO_ENTRY = ("__pfx_", "__cfi_", "__SCT__")


class Tables:
    """All that the monitor needs of one kernel's .text."""

    def __init__(self, image: KernelImage):
        self.image = image
        self.r = Regions(image)
        self.text, self.etext = self.r.facts.text, self.r.facts.etext
        if self.text % PAGE or not self.text < self.etext:
            raise Unknown("the bounds of .text are not what this generator expects")
        self.npages = (self.etext - self.text + PAGE - 1) // PAGE
        self.functions = self._functions()

    def _off(self, va: int) -> int:
        return va - self.text

    def _functions(self) -> list[int]:
        found = {
            symbol.address
            for symbol in self.image.symbols
            if symbol.type in "tTwW"
            and self.text <= symbol.address < self.etext
            and not symbol.name.startswith(_NO_ENTRY)
        }
        return sorted(found)

    def golden(self) -> dict[str, Any]:
        """Offsets are from _text, modulo 2^32; `templates` are numbered, `shapes` refer to them."""
        image, r = self.image, self.r
        series = r.series
        shapes, templates = self._shapes()
        return {
            "symbol": "_text",
            "va": self.text,
            "size": self.npages * PAGE,
            "series": series.name,
            "capabilities": self._off(
                require(image, "boot_cpu_data") + image.btf.offset("struct cpuinfo_x86", "x86_capability")
            ),
            "capability_words": series.capability_words,
            "features": {
                "retpoline": RETPOLINE,
                "lfence": RETPOLINE_LFENCE,
                "rethunk": RETHUNK,
                "its": series.its,
                "call_depth": CALL_DEPTH if series.call_thunks else 0,
            },
            "x86_return_thunk": self._off(require(image, "x86_return_thunk")),
            "return_thunks": self._return_thunks(),
            "its_return_thunk": self._off(r.facts.its_return_thunk),
            "thunks": self._off(r.facts.thunks),
            "call_thunks": self._array("__x86_indirect_call_thunk_array"),
            "jump_thunks": self._array("__x86_indirect_jump_thunk_array"),
            "its_thunks": self._off(require(image, "__x86_indirect_its_thunk_array")),
            "uniproc_patched": self._off(require(image, "uniproc_patched")),
            "ideal_nops": self._off(require(image, "ideal_nops")) if series.k8_nops else 0,
            "k8_nops": self._off(require(image, "k8_nops")) if series.k8_nops else 0,
            "p6_nops": self._off(require(image, "p6_nops")) if series.k8_nops else 0,
            "pads_jumps": series.pads_jumps,
            "int3_after_jump": series.int3_after_jump,
            "one_nop": series.relocates,
            "nop_max": series.nop_max,
            "endbr_poison": series.endbr_poison.hex(),
            "paravirt": self._paravirt(),
            "static_calls": self._static_calls(),
            "constants": constants(image, r.constants, self.text),
            "ftrace": ftrace(image, self.text, series, r.sites.mcount),
            "kprobes": kprobes(image, self.text, series),
            "registries": registries(image, self.text),
            "poke": poke(image, self.text),
            "shapes": shapes,
            "templates": templates,
            "call_pad": self._pad_template(),
            "counts": self.counts(),
        }

    def counts(self) -> dict[str, int]:
        """Places by kind."""
        counts: dict[str, int] = {}
        for region in self.r.regions:
            name = region.kind.name.lower().replace("_", "-")
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def _array(self, name: str) -> int:
        return self._off(require(self.image, name)) if self.r.series.call_thunks else 0

    def _return_thunks(self) -> list[int]:
        found = {
            self._off(s.address)
            for s in self.image.symbols
            if s.name.endswith("_return_thunk") and s.type in "tT" and self.text <= s.address < self.etext
            and not s.name.startswith(("__pfx_", "set_", "__pi_"))
        }  # fmt: skip
        return sorted(found)

    def _paravirt(self) -> dict[str, Any]:
        r, facts = self.r, self.r.facts
        compiled = {self.image.u64(va) for va in r.pointers}
        allowed = {
            s.address
            for s in self.image.symbols
            if s.type in "tT" and self.text <= s.address < self.etext and _PARAVIRT.match(s.name)
        } | {va for va in compiled if self.text <= va < self.etext}
        native = []
        for slot, (code, function) in sorted(facts.native.items()):
            pointer = facts.pv_ops + 8 * slot
            if pointer in r.pointers:
                needs = self._off(function) if function else 0
                native.append({"pointer": r.pointers.index(pointer), "code": code.hex(), "function": needs})
        iret = facts.pv_ops + 8 * facts.pv_iret if facts.pv_iret is not None else 0
        return {
            "pointers": [self._off(va) for va in r.pointers],
            "functions": sorted(self._off(va) for va in allowed),
            "nop": self._off(facts.pv_nop),
            "bug": self._off(facts.pv_bug) if facts.pv_bug else 0,
            "native": native,
            "ident": self._off(facts.pv_ident) if facts.pv_ident else 0,
            "iret": r.pointers.index(iret) if iret in r.pointers else 0xFFFF,
            "patch": self._patch_pointer(),
            "patch_default": self._off(require(self.image, "paravirt_patch_default")) if facts.native else 0,
        }

    def _patch_pointer(self) -> int:
        if not self.r.series.native_patch:
            return 0
        member = self.image.btf.offset("struct paravirt_patch_template", "init.patch")
        return self._off(self.r.facts.pv_ops + member)

    def _static_calls(self) -> dict[str, int]:
        get = self.image.symbols.get
        ret0, warn, empty = get("__static_call_return0"), get("__WARN_trap"), get("__static_call_return")
        series = self.r.series
        for struct_name, member in (("static_call_key", "func"), ("static_key", "enabled")):
            try:
                offset = self.image.btf.offset(f"struct {struct_name}", member)
            except KeyError as why:
                raise Unknown(f"struct {struct_name} is not described: {why}") from None
            if offset:
                raise Unknown(f"{struct_name}.{member} does not come first")
        return {
            "ret0": self._off(ret0) if ret0 and series.ret0 else 0,
            "warn": self._off(warn) if warn and series.warn_trap else 0,
            "empty": self._off(empty) if empty else 0,
        }

    def _shapes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        numbers: dict[Template, int] = {}
        shapes: list[dict[str, Any]] = []
        self.shape_numbers: dict[Any, int] = {}
        for region in self.r.regions:
            shape = region.shape
            if shape is None or shape in self.shape_numbers:
                continue
            self.shape_numbers[shape] = len(shapes)
            indices = [numbers.setdefault(t, len(numbers)) for t in shape.templates]
            shapes.append({"size": shape.size, "conditions": list(shape.conditions), "templates": indices})
        if max(len(shapes), len(numbers)) > 0xFFFF:
            raise Unknown("the kernel has too many different alternatives")
        templates = [{"code": t.code.hex(), "fixes": [list(fix) for fix in t.fixes]} for t in numbers]
        return shapes, templates

    def _pad_template(self) -> dict[str, Any]:
        """What stands in front of counted functions, as a template for offset 0."""
        if not self.r.series.call_thunks:
            return {"code": "", "fixes": []}
        template, size = self.r.facts.call_thunk
        code = bytearray(self.image.read(template, size))
        fixes: list[list[int]] = []
        relocations = self.image.relocs_in(template, template + size)
        for va, kind in relocations:
            number = {"inverse-32": SUB32, "32": ADD32}.get(str(kind))
            if number is None:
                raise Unknown("the call-depth accounting has a relocation of an unknown kind")
            fixes.append([va - template, number, 0])
        from .insn import decode

        insn = decode(bytes(code) + bytes(16))
        if insn is None or insn.length != size:
            raise Unknown("the call-depth accounting is more than one instruction")
        if insn.rip_relative:
            at = insn.disp_at
            base = template + at + int.from_bytes(code[at : at + 4], "little", signed=True)
            fixes.insert(0, [at, REL, base - self.text & 0xFFFFFFFF])
            code[at : at + 4] = bytes(4)
        return {"code": bytes(code).hex(), "fixes": fixes}

    # Large tables

    def blobs(self) -> dict[str, bytes]:
        """Tables by name.

        `text` and `text.digests`, `.lines`, `.reloc_index`, `.relocs` as for rodata, but digests and
        lines are of pages with zeros at every place; `.site_index` (u32, pages + 1) and `.sites`
        (u16: kind << 12 | offset in page); `.args` (u16); `.jumps` (u32 target, u16 key, u8 size, u8
        branch); `.jump_keys` and `.call_keys` (u32); `.function_index` (u32, pages + 1) and
        `.functions` (u16 offsets in page); `.call_index` (u32, pages + 1) and `.calls` (u16: kind
        << 14 | offset from 16 bytes before the page).
        """
        if not hasattr(self, "shape_numbers"):
            self._shapes()
        # The rest of the last page is as executable as the page's begin; nothing ever writes it.
        data = self.image.read(self.text, self.npages * PAGE)
        found = {"text": data} | self._digests(data) | self._relocations()
        found |= self._sites() | self._jumps()
        found["text.jump_keys"] = self._u32(self._off(va) for va in self.r.jump_keys)
        found["text.call_keys"] = self._u32(self._off(va) for va in self.r.call_keys)
        index, offsets = self._paged([(va, va % PAGE) for va in self.functions])
        found |= {"text.function_index": index, "text.functions": offsets}
        return found | self._calls(data)

    @staticmethod
    def _u32(values: Any) -> bytes:
        values = [value & 0xFFFFFFFF for value in values]
        return struct.pack(f"<{len(values)}I", *values)

    def _paged(self, entries: list[tuple[int, int]]) -> tuple[bytes, bytes]:
        """(address, u16) in address order → (index by page, numbers)."""
        index = [0] * (self.npages + 1)
        for va, _ in entries:
            index[(va - self.text) // PAGE + 1] += 1
        for i in range(self.npages):
            index[i + 1] += index[i]
        return self._u32(index), struct.pack(f"<{len(entries)}H", *(number for _, number in entries))

    def _digests(self, data: bytes) -> dict[str, bytes]:
        canonical = bytearray(data)
        for region in self.r.regions:
            at = region.va - self.text
            if at + region.size > len(data):
                raise Unknown("a patch site reaches beyond .text")
            canonical[at : at + region.size] = bytes(region.size)
        digests, lines = bytearray(), bytearray()
        for at in range(0, len(canonical), PAGE):
            page = bytes(canonical[at : at + PAGE])
            digests += hashlib.sha256(page).digest()
            sums = [zlib.crc32(page[i : i + LINE]) & 0xFFFF for i in range(0, len(page), LINE)]
            lines += struct.pack("<64H", *(sums + [0] * (64 - len(sums))))
        return {"text.digests": bytes(digests), "text.lines": bytes(lines)}

    def _relocations(self) -> dict[str, bytes]:
        """Those outside of all places."""
        starts = [region.va for region in self.r.regions]
        per_page: list[list[int]] = [[] for _ in range(self.npages)]
        for va, kind in self.image.relocs_in(self.text, self.etext):
            number, size = KINDS[kind]
            i = bisect_left(starts, va + size) - 1
            if i >= 0 and starts[i] + self.r.regions[i].size > va:
                region = self.r.regions[i]
                if not region.va <= va < va + size <= region.va + region.size:
                    raise Unknown(f"the relocation at {va:#x} lies only in part in a patch site")
                continue
            for page in {(va - self.text) // PAGE, (va + size - 1 - self.text) // PAGE}:
                if page < self.npages:
                    per_page[page].append(number << 14 | (va - self.text - page * PAGE + BIAS))
        index, flat = [0], []
        for entries in per_page:
            flat += sorted(entries, key=lambda entry: entry & 0x3FFF)
            index.append(len(flat))
        return {
            "text.reloc_index": self._u32(index),
            "text.relocs": struct.pack(f"<{len(flat)}H", *flat),
        }

    def _sites(self) -> dict[str, bytes]:
        entries, args = [], []
        for region in self.r.regions:
            if region.size > LINE:
                raise Unknown(f"the patch site at {region.va:#x} has {region.size} bytes")
            entries.append((region.va, region.kind << 12 | region.va % PAGE))
            args += [self.shape_numbers[region.shape]] if region.shape else list(region.args)
        index, sites = self._paged(entries)
        return {
            "text.site_index": index,
            "text.sites": sites,
            "text.args": struct.pack(f"<{len(args)}H", *args),
        }

    def _jumps(self) -> dict[str, bytes]:
        keys = {va: i for i, va in enumerate(self.r.jump_keys)}
        by_code = {jump.code: jump for jump in self.r.sites.jumps}
        out = bytearray()
        for region in self.r.regions:
            if region.kind == Kind.JUMP_LABEL:
                jump = by_code[region.va]
                target = self._off(jump.target)
                if not 0 <= target < self.etext - self.text:
                    raise Unknown(f"the jump label at {jump.code:#x} leads out of .text")
                out += struct.pack("<IHBB", target, keys[jump.key], jump.size, jump.branch)
        return {"text.jumps": bytes(out)}

    def _calls(self, data: bytes) -> dict[str, bytes]:
        """What call-depth accounting changes: calls, and the padding in front of what they call."""
        entries: list[tuple[int, int, int]] = []  # address, size, kind
        if self.r.series.call_thunks:
            entries = self._counted(data)
        per_page: list[list[int]] = [[] for _ in range(self.npages)]
        for va, size, kind in entries:
            for page in {(va - self.text) // PAGE, (va + size - 1 - self.text) // PAGE}:
                per_page[page].append(kind << 14 | (va - self.text - page * PAGE + CALL_BIAS))
        index, flat = [0], list[int]()
        for numbers in per_page:
            flat += numbers
            index.append(len(flat))
        return {"text.call_index": self._u32(index), "text.calls": struct.pack(f"<{len(flat)}H", *flat)}

    def _counted(self, data: bytes) -> list[tuple[int, int, int]]:
        facts = self.r.facts
        size = facts.call_thunk[1]
        memory = Memory(self.text, data)
        nops = b"\x90" * size
        first = self.text + size
        padded = {va for va in self.functions if va >= first and memory.read(va - size, size) == nops}
        taken = Sorted([region.va for region in self.r.regions])
        sizes = {region.va: region.size for region in self.r.regions}

        def free(first: int, end: int) -> bool:
            """No place lies at first <= address < end."""
            return not any(va + sizes[va] > first for va in taken.within(first - LINE, end))

        padded = {va for va in padded - facts.skipped_calls if free(va - size, va)}
        entries, called = [], set()
        for va in self.r.sites.calls:
            if not self.text <= va < self.etext or memory.read(va, 1) != b"\xe8":
                continue
            target = va + 5 + int.from_bytes(memory.read(va + 1, 4), "little", signed=True)
            if not self.text <= target < self.etext or target in facts.skipped_calls:
                continue
            if memory.read(target - size, size) != nops:
                continue
            if target not in padded:
                raise Unknown(f"a call at {va:#x} leads to {target:#x}, which is no function")
            if free(va, va + 5):
                called.add(target)
                entries.append((va, 5, CALL))
        entries += [(va - size, size, PAD if va in called else PAD_MAYBE) for va in padded]
        return sorted(entries)
