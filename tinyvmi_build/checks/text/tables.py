"""The places of .text as the monitor wants them (minios_app/include/tinyvmi/profile.h, struct tv_text)."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks.lib.unknown import Unknown, require
from tinyvmi_build.checks.rodata.golden import BIAS, KINDS, PAGE
from tinyvmi_build.checks.text.calls import Counted
from tinyvmi_build.checks.text.code import Code, u16, u32
from tinyvmi_build.checks.text.facts import Facts
from tinyvmi_build.checks.text.regions import Regions
from tinyvmi_build.checks.text.series import CALL_DEPTH, RETHUNK, RETPOLINE, RETPOLINE_LFENCE
from tinyvmi_build.checks.text.shapes import ADD32, REL, SUB32
from tinyvmi_build.checks.text.state import constants, poke
from tinyvmi_build.checks.text.tracing import ftrace, kprobes, registries

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

#: Names of the functions that a hypervisor's guest support may put into pv_ops.
_PARAVIRT = re.compile(
    r"(__raw_callee_save_|native_|__native_|xen_|kvm_|__kvm_|hv_|vmware_|pv_native_|_?paravirt_|__paravirt_"
    r"|__ptep_|tlb_remove_|default_|nop_func$|BUG_func$|__pv_)"
)
NO_ENTRY = ("__pfx_", "__cfi_", "__SCT__")


def kernel_functions(image: KernelImage, facts: Facts) -> list[int]:
    """Entries of the functions in the kernel's .text, sorted."""
    found = {
        symbol.address
        for symbol in image.symbols
        if symbol.type in "tTwW"
        and facts.text <= symbol.address < facts.etext
        and not symbol.name.startswith(NO_ENTRY)
    }
    return sorted(found)


class Tables(Code):
    """All that the monitor needs of one kernel's .text."""

    def __init__(self, image: KernelImage):
        self.image = image
        regions = Regions.of_kernel(image)
        super().__init__(regions, kernel_functions(image, regions.facts))

    def golden(self) -> dict[str, Any]:
        """Offsets are from _text, modulo 2^32; `templates` are numbered, `shapes` refer to them."""
        image, r = self.image, self.r
        series = r.series
        shapes, templates = self.shapes()
        return {
            "symbol": "_text",
            "va": self.text,
            "size": self.npages * PAGE,
            "series": series.name,
            "capabilities": self.off(
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
            "x86_return_thunk": self.off(require(image, "x86_return_thunk")),
            "return_thunks": self._return_thunks(),
            "its_return_thunk": self.off(r.facts.its_return_thunk),
            "thunks": self.off(r.facts.thunks),
            "call_thunks": self._array("__x86_indirect_call_thunk_array"),
            "jump_thunks": self._array("__x86_indirect_jump_thunk_array"),
            "its_thunks": self.off(require(image, "__x86_indirect_its_thunk_array")),
            "uniproc_patched": self.off(require(image, "uniproc_patched")),
            "ideal_nops": self.off(require(image, "ideal_nops")) if series.k8_nops else 0,
            "k8_nops": self.off(require(image, "k8_nops")) if series.k8_nops else 0,
            "p6_nops": self.off(require(image, "p6_nops")) if series.k8_nops else 0,
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

    def _array(self, name: str) -> int:
        return self.off(require(self.image, name)) if self.r.series.call_thunks else 0

    def _return_thunks(self) -> list[int]:
        found = {
            self.off(s.address)
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
                needs = self.off(function) if function else 0
                native.append({"pointer": r.pointers.index(pointer), "code": code.hex(), "function": needs})
        iret = facts.pv_ops + 8 * facts.pv_iret if facts.pv_iret is not None else 0
        return {
            "pointers": [self.off(va) for va in r.pointers],
            "functions": sorted(self.off(va) for va in allowed),
            "nop": self.off(facts.pv_nop),
            "bug": self.off(facts.pv_bug) if facts.pv_bug else 0,
            "native": native,
            "ident": self.off(facts.pv_ident) if facts.pv_ident else 0,
            "iret": r.pointers.index(iret) if iret in r.pointers else 0xFFFF,
            "patch": self._patch_pointer(),
            "patch_default": self.off(require(self.image, "paravirt_patch_default")) if facts.native else 0,
        }

    def _patch_pointer(self) -> int:
        if not self.r.series.native_patch:
            return 0
        member = self.image.btf.offset("struct paravirt_patch_template", "init.patch")
        return self.off(self.r.facts.pv_ops + member)

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
            "ret0": self.off(ret0) if ret0 and series.ret0 else 0,
            "warn": self.off(warn) if warn and series.warn_trap else 0,
            "empty": self.off(empty) if empty else 0,
        }

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
        from tinyvmi_build.checks.text.insn import decode

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

        `text` and `text.sha256`, `.blake3`, `.lines`, `.reloc_index`, `.relocs` as for rodata, but digests
        and lines are of pages with zeros at every place; `.site_index` (u32, pages + 1) and `.sites`
        (u16: kind << 12 | offset in page); `.args` (u16); `.jumps` (u32 target, u16 key, u8 size, u8
        branch); `.jump_keys` and `.call_keys` (u32); `.function_index` (u32, pages + 1) and
        `.functions` (u16: what stands in front << 12 | offset in page); `.call_index` and `.call_gaps`
        as `calls.Counted` has them.
        """
        # The rest of the last page is as executable as the page's begin; nothing ever writes it.
        data = self.image.read(self.text, self.npages * PAGE)
        found = {"text": data} | self.digests(self.blank(data)) | self._relocations()
        counted = Counted(self, data)
        tables = self.sites(counted.pads) | counted.tables()
        return found | {f"text.{name}": table for name, table in tables.items()}

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
            "text.reloc_index": u32(index),
            "text.relocs": u16(flat),
        }
