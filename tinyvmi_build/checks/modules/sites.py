"""The patch sites in a module's text, from the tables in its .ko."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.text.facts import Facts
from tinyvmi_build.checks.text.regions import Regions
from tinyvmi_build.checks.text.series import Series
from tinyvmi_build.checks.text.sites import KEY, TRAMPOLINE, Sites, StaticCall, collect
from tinyvmi_build.elf.reader import SHF_ALLOC
from tinyvmi_build.kernel.ko import KoFile

if TYPE_CHECKING:
    from tinyvmi_build.checks.modules.link import ModuleImage

#: Sections of which it is known what the loader does with them.  One that is not may mean patches.
_KNOWN = re.compile(
    r"\.(text|init\.text|exit\.text|ref\.text|noinstr\.text|kprobes\.text|sched\.text|spinlock\.text"
    r"|cpuidle\.text|static_call\.text|fixup|altinstr_aux|altinstr_replacement)$"
    r"|\.text\.[\w.]+$|\.(rodata|data|bss|init\.rodata|init\.data|exit\.data|ref\.data)(\.[\w.]+)?$"
    r"|\.(note\.[\w.-]+|modinfo|BTF|BTF_ids|BTF\.base|gnu\.linkonce\.this_module)$"
    r"|\.(altinstructions|parainstructions|smp_locks|retpoline_sites|return_sites|call_sites|ibt_endbr_seal"
    r"|static_call_sites|orc_header|orc_unwind|orc_unwind_ip)$"
    r"|__(bpf_raw_tp_map|bug_table|dyndbg|dyndbg_classes|ex_table|jump_table|kcrctab|kcrctab_gpl|kflagstab"
    r"|ksymtab|ksymtab_gpl|ksymtab_strings|mcount_loc|modver|param|patchable_function_entries"
    r"|tracepoint_check|tracepoints|tracepoints_ptrs|tracepoints_strings|versions|version_ext_crcs"
    r"|version_ext_names)$"
    r"|___srcu_struct_ptrs$|_ftrace_(eval_map|events|annotated_branch|branch)$|_error_injection_whitelist$"
    r"|_kprobe_blacklist$|\.rodata\..+$"
)


def known_sections(ko: KoFile) -> None:
    """UnsupportedError if the module has a section that this generator does not know."""
    for section in ko.sections:
        if section.flags & SHF_ALLOC and section.size and not _KNOWN.match(section.name):
            raise UnsupportedError(f"it has a section {section.name}, which this generator does not know")


def module_regions(image: ModuleImage, series: Series, pointers: list[int]) -> Regions:
    """The sites of the module's text; `pointers` are those of pv_ops that the kernel uses."""
    facts = Facts(image, series, (image.text, image.etext))
    return Regions(image, facts, module_sites(image, series), pointers)


def module_sites(image: ModuleImage, series: Series) -> Sites:
    """Every site that the .ko names, wherever it lies; the loader's limits are applied."""
    own = {name: va for name, va, _ in image.own_symbols}
    trampolines = []
    for name, va in own.items():
        if name.startswith(TRAMPOLINE):
            trampolines.append((va, _key(image, own, name)))
    sites = collect(image, series, image.table, trampolines)
    # alternatives_smp_module_add() is given .text alone before Linux 6.4, all of the code since.
    if not image.module.rules.split:
        text, code = image.table(".text")
        sites.locks = [va for va in sites.locks if text <= va < text + len(code)]
    sites.static_calls = [
        StaticCall(call.site, _exported_key(image, own, call.key), call.tail) for call in sites.static_calls
    ]
    return sites


def _key(image: ModuleImage, own: dict[str, int], trampoline: str) -> int:
    name = KEY + trampoline.removeprefix(TRAMPOLINE)
    va = own.get(name)
    if va is None:
        va = image.symbols.get(name)
    if va is None:
        raise UnsupportedError(f"the static call {trampoline} has no key")
    return va


def _exported_key(image: ModuleImage, own: dict[str, int], va: int) -> int:
    """A record may name the trampoline of a call whose key is not exported (static_call_add_module)."""
    for symbol in image.symbols.at(va):
        if symbol.name.startswith(TRAMPOLINE):
            return _key(image, own, symbol.name)
    return va
