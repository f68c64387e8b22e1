"""The patch sites of .text as the monitor wants them (minios_app/checks/text/golden.h, struct tv_text)."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.digest_range import PAGE, digest_range, relocations_by_page
from tinyvmi_build.checks.lib.unsupported import UnsupportedError, require
from tinyvmi_build.checks.text.calls import Counted
from tinyvmi_build.checks.text.code import Code
from tinyvmi_build.checks.text.facts import Facts
from tinyvmi_build.checks.text.golden import (
    ADD32,
    REL,
    SUB32,
    Features,
    NativePatch,
    Paravirt,
    StaticCalls,
    Template,
    TextGolden,
)
from tinyvmi_build.checks.text.regions import Regions
from tinyvmi_build.checks.text.series import CALL_DEPTH, RETHUNK, RETPOLINE, RETPOLINE_LFENCE
from tinyvmi_build.checks.text.state import constants, poke
from tinyvmi_build.checks.text.tracing import ftrace, kprobes, registries
from tinyvmi_build.profile.encoding import Blob

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

    def golden(self) -> TextGolden:
        """All of it; `templates` are numbered, `shapes` refer to them."""
        image, r = self.image, self.r
        series = r.series
        shapes, templates = self.shapes()
        # The rest of the last page is as executable as the page's begin; nothing ever writes it.
        data = image.read(self.text, self.npages * PAGE)
        return TextGolden(
            symbol="_text",
            va=self.text,
            size=self.npages * PAGE,
            series=series.name,
            capabilities=self.off(
                require(image, "boot_cpu_data") + image.btf.offset("struct cpuinfo_x86", "x86_capability")
            ),
            capability_words=series.capability_words,
            features=Features(
                retpoline=RETPOLINE,
                lfence=RETPOLINE_LFENCE,
                rethunk=RETHUNK,
                its=series.its,
                call_depth=CALL_DEPTH if series.call_thunks else 0,
            ),
            x86_return_thunk=self.off(require(image, "x86_return_thunk")),
            return_thunks=self._return_thunks(),
            its_return_thunk=self.off(r.facts.its_return_thunk),
            thunks=self.off(r.facts.thunks),
            call_thunks=self._array("__x86_indirect_call_thunk_array"),
            jump_thunks=self._array("__x86_indirect_jump_thunk_array"),
            its_thunks=self.off(require(image, "__x86_indirect_its_thunk_array")),
            uniproc_patched=self.off(require(image, "uniproc_patched")),
            ideal_nops=self.off(require(image, "ideal_nops")) if series.k8_nops else 0,
            k8_nops=self.off(require(image, "k8_nops")) if series.k8_nops else 0,
            p6_nops=self.off(require(image, "p6_nops")) if series.k8_nops else 0,
            pads_jumps=series.pads_jumps,
            int3_after_jump=series.int3_after_jump,
            one_nop=series.relocates,
            nop_max=series.nop_max,
            endbr_poison=series.endbr_poison,
            paravirt=self._paravirt(),
            static_calls=self._static_calls(),
            constants=constants(image, r.constants, self.text),
            ftrace=ftrace(image, self.text, series, r.sites.mcount),
            kprobes=kprobes(image, self.text, series),
            registries=registries(image, self.text),
            poke=poke(image, self.text),
            shapes=shapes,
            templates=templates,
            call_pad=self._pad_template(),
            counts=self.counts(),
            content=Blob(data),
            pages=digest_range(self.blank(data), self._relocations()),
            code=self.tables(Counted(self, data)),
        )

    def _array(self, name: str) -> int:
        return self.off(require(self.image, name)) if self.r.series.call_thunks else 0

    def _return_thunks(self) -> tuple[int, ...]:
        found = {
            self.off(s.address)
            for s in self.image.symbols
            if s.name.endswith("_return_thunk") and s.type in "tT" and self.text <= s.address < self.etext
            and not s.name.startswith(("__pfx_", "set_", "__pi_"))
        }  # fmt: skip
        return tuple(sorted(found))

    def _paravirt(self) -> Paravirt:
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
                native.append(NativePatch(r.pointers.index(pointer), code, needs))
        iret = facts.pv_ops + 8 * facts.pv_iret if facts.pv_iret is not None else 0
        return Paravirt(
            pointers=tuple(self.off(va) for va in r.pointers),
            functions=tuple(sorted(self.off(va) for va in allowed)),
            nop=self.off(facts.pv_nop),
            bug=self.off(facts.pv_bug) if facts.pv_bug else 0,
            native=tuple(native),
            ident=self.off(facts.pv_ident) if facts.pv_ident else 0,
            iret=r.pointers.index(iret) if iret in r.pointers else 0xFFFF,
            patch=self._patch_pointer(),
            patch_default=self.off(require(self.image, "paravirt_patch_default")) if facts.native else 0,
        )

    def _patch_pointer(self) -> int:
        if not self.r.series.native_patch:
            return 0
        member = self.image.btf.offset("struct paravirt_patch_template", "init.patch")
        return self.off(self.r.facts.pv_ops + member)

    def _static_calls(self) -> StaticCalls:
        get = self.image.symbols.get
        ret0, warn, empty = get("__static_call_return0"), get("__WARN_trap"), get("__static_call_return")
        series = self.r.series
        for struct_name, member in (("static_call_key", "func"), ("static_key", "enabled")):
            try:
                offset = self.image.btf.offset(f"struct {struct_name}", member)
            except KeyError as why:
                raise UnsupportedError(f"struct {struct_name} is not described: {why}") from None
            if offset:
                raise UnsupportedError(f"{struct_name}.{member} does not come first")
        return StaticCalls(
            ret0=self.off(ret0) if ret0 and series.ret0 else 0,
            warn=self.off(warn) if warn and series.warn_trap else 0,
            empty=self.off(empty) if empty else 0,
        )

    def _pad_template(self) -> Template:
        """What stands in front of counted functions, as a template for offset 0."""
        if not self.r.series.call_thunks:
            return Template(b"", ())
        template, size = self.r.facts.call_thunk
        code = bytearray(self.image.read(template, size))
        fixes: list[tuple[int, int, int]] = []
        relocations = self.image.relocs_in(template, template + size)
        for va, kind in relocations:
            number = {"inverse-32": SUB32, "32": ADD32}.get(str(kind))
            if number is None:
                raise UnsupportedError("the call-depth accounting has a relocation of an unknown kind")
            fixes.append((va - template, number, 0))
        from tinyvmi_build.checks.lib.insn import decode

        insn = decode(bytes(code) + bytes(16))
        if insn is None or insn.length != size:
            raise UnsupportedError("the call-depth accounting is more than one instruction")
        if insn.rip_relative:
            at = insn.disp_at
            base = template + at + int.from_bytes(code[at : at + 4], "little", signed=True)
            fixes.insert(0, (at, REL, base - self.text & 0xFFFFFFFF))
            code[at : at + 4] = bytes(4)
        return Template(bytes(code), tuple(fixes))

    def _relocations(self) -> list[list[int]]:
        """Of each page, those outside of all sites."""
        starts = [region.va for region in self.r.regions]

        def outside(va: int, size: int) -> bool:
            i = bisect_left(starts, va + size) - 1
            if i < 0 or starts[i] + self.r.regions[i].size <= va:
                return True
            region = self.r.regions[i]
            if not region.va <= va < va + size <= region.va + region.size:
                raise UnsupportedError(f"the relocation at {va:#x} lies only in part in a patch site")
            return False

        relocs = self.image.relocs_in(self.text, self.etext)
        return relocations_by_page(relocs, self.text, self.npages, outside)
