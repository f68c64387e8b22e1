"""The golden values of each kernel as C: what the checks of a monitor compare with."""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tinyvmi_build.checks import registry
from tinyvmi_build.checks.modules.settings import ModulesSettings
from tinyvmi_build.checks.policy_globals.settings import PolicyGlobalsSettings
from tinyvmi_build.config.model import Config
from tinyvmi_build.render.modules import modules

if TYPE_CHECKING:
    from tinyvmi_build.profile.profile import KernelProfile

PAGE = 4096
LINES_PER_PAGE = 64


def kernel_context(index: int, kernel: KernelProfile) -> dict[str, Any]:
    """Values of `templates/c/profiles.*.j2` for one kernel."""
    golden = kernel.golden
    context = dict(golden["kernel"])
    context.update(
        index=index,
        release=kernel.release,
        build_id=kernel.build_id,
        build_id_bytes=bytes.fromhex(kernel.build_id),
        banner=golden["identity"]["banner"],
        banner_va=golden["identity"]["banner_va"],
        tracked_size=_tracked_size(kernel),
        golden=[
            {
                "name": check.name,
                "reason": golden[check.name].get("unknown", ""),
                "table": bool(registry.template(check, "table.c.j2")) and "unknown" not in golden[check.name],
            }
            for check in registry.checks()
        ],
    )
    return context


def _tracked_size(kernel: KernelProfile) -> int:
    """Bytes from _text to the end of the code and constants that incremental checks follow."""
    ends = [
        kernel.golden[check]["va"] + len(kernel.blob(f"{check}.reloc_index")) // 4 * PAGE - PAGE
        for check in ("text", "rodata")
        if "unknown" not in kernel.golden[check]
    ]
    return max(ends, default=kernel.text_va) - kernel.text_va


def table_contexts(config: Config, kernel: KernelProfile) -> dict[str, dict[str, Any]]:
    """Check name → values of `templates/checks/NAME.c.j2`; without the checks unknown for this kernel."""
    makers = {
        "syscall-table": lambda: _syscall_table(kernel),
        "idt": lambda: _idt(kernel),
        "policy-globals": lambda: _policy_globals(config, kernel),
        "rodata": lambda: _rodata(config, kernel),
        "text": lambda: _text(config, kernel),
        "function-pointers": lambda: _function_pointers(kernel),
        "page-tables": lambda: _page_tables(kernel),
        "ro-after-init": lambda: _ro_after_init(config, kernel),
        "modules": lambda: modules(kernel, config.checks.of(ModulesSettings).include, config.golden.hash),
        "registers": lambda: _registers(kernel),
    }
    return {check: make() for check, make in makers.items() if "unknown" not in kernel.golden[check]}


def _symbol(kernel: KernelProfile, va: int) -> str:
    found = kernel.symbols.nearest(va)
    if found is None:
        return f"{va:#x}"
    name, offset = found
    return f"{name}+{offset:#x}" if offset else name


def _syscall_table(kernel: KernelProfile) -> dict[str, Any]:
    tables = kernel.golden["syscall-table"]["tables"]
    return {
        "tables": [
            {
                "symbol": table["symbol"],
                "va": table["va"],
                "entries": [{"address": va, "symbol": _symbol(kernel, va)} for va in table["expected"]],
            }
            for table in tables
        ]
    }


def _idt(kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["idt"]
    return {
        "table_va": golden["table_va"],
        "alias_va": golden["alias_va"],
        "segment": golden["segment"],
        "gates": [
            {
                "handlers": [va - kernel.text_va for va in gate["handlers"]],
                "bits": gate["bits"],
                "symbols": ", ".join(_symbol(kernel, va) for va in gate["handlers"]),
            }
            for gate in golden["gates"]
        ],
    }


def _registers(kernel: KernelProfile) -> dict[str, Any]:
    golden = dict(kernel.golden["registers"])
    for name in ("lstar", "cstar", "sysenter"):
        golden[name] = [va - kernel.text_va for va in golden[name]]
    pv = golden.pop("pv")
    golden["pv_unknown"] = pv.get("unknown", "")
    if "unknown" not in pv:
        for name in ("event_callback", "failsafe_callback", "syscall_callback"):
            golden[name] = pv[name] - kernel.text_va
        golden["traps"] = [
            {
                "vector": vector,
                "handlers": [va - kernel.text_va for va in trap["handlers"]],
                "flags": trap["flags"],
                "symbols": ", ".join(_symbol(kernel, va) for va in trap["handlers"]),
            }
            for vector, trap in enumerate(pv["traps"])
        ]
    return golden


def _policy_globals(config: Config, kernel: KernelProfile) -> dict[str, Any]:
    strings = []
    for string in kernel.golden["policy-globals"]["strings"]:
        allowed = getattr(config.checks.of(PolicyGlobalsSettings), string["symbol"])
        strings.append(
            {
                "symbol": string["symbol"],
                "va": string["va"],
                "size": string["size"],
                "allowed": list(allowed) if allowed is not None else [string["compiled"]],
            }
        )
    return {"strings": strings}


def _rodata(config: Config, kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["rodata"]
    return {
        "symbol": golden["symbol"],
        "va": golden["va"],
        "last_size": (golden["size"] - 1) % PAGE + 1,
        "cuts": golden["cuts"],
        **_pages(config, kernel, "rodata"),
    }


def _pages(config: Config, kernel: KernelProfile, check: str) -> dict[str, Any]:
    """What stands in struct tv_digest_range."""
    digests = kernel.blob(f"{check}.{config.golden.hash}")
    lines = _numbers("H", kernel.blob(f"{check}.lines"))
    return {
        "digests": [digests[at : at + 32] for at in range(0, len(digests), 32)],
        "lines": [lines[at : at + LINES_PER_PAGE] for at in range(0, len(lines), LINES_PER_PAGE)],
        "reloc_index": _numbers("I", kernel.blob(f"{check}.reloc_index")),
        "relocs": _numbers("H", kernel.blob(f"{check}.relocs")),
    }


#: Tables of `text`: name in C → its blob and the type of its numbers.
TEXT_TABLES = {
    "site_index": "I",
    "sites": "H",
    "args": "H",
    "jump_keys": "I",
    "call_keys": "I",
    "call_index": "I",
    "call_gaps": "B",
    "function_index": "I",
    "functions": "H",
}


def _text(config: Config, kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["text"]
    rodata = kernel.section(".rodata")
    start = rodata.addr - golden["va"]
    pages = _pages(config, kernel, "text")
    c_types = {"I": "uint32_t", "H": "uint16_t", "B": "uint8_t"}
    arrays = {
        "reloc_index": ("uint32_t", pages.pop("reloc_index")),
        "relocs": ("uint16_t", pages.pop("relocs")),
        "return_thunks": ("uint32_t", golden["return_thunks"]),
        "pv_pointers": ("uint32_t", golden["paravirt"]["pointers"]),
        "pv_functions": ("uint32_t", golden["paravirt"]["functions"]),
        "ftrace_callers": ("uint32_t", golden["ftrace"]["callers"]),
        "ftrace_functions": ("uint32_t", golden["ftrace"]["functions"]),
        "ftrace_graph": ("uint32_t", golden["ftrace"]["graph"]),
    }
    for name, code in TEXT_TABLES.items():
        arrays[name] = (c_types[code], _numbers(code, kernel.blob(f"text.{name}")))
    return {
        "golden": golden,
        **pages,
        "arrays": arrays,
        "tables": list(TEXT_TABLES),
        "jumps": list(struct.iter_unpack("<IHBB", kernel.blob("text.jumps"))),
        "templates": [_template(template) for template in golden["templates"]],
        "call_pad": _template(golden["call_pad"]),
        "endbr_poison": bytes.fromhex(golden["endbr_poison"]),
        "native": [{**n, "code": bytes.fromhex(n["code"])} for n in golden["paravirt"]["native"]],
        "ftrace_numbers": sorted(name for name, value in golden["ftrace"].items() if isinstance(value, int)),
        "kprobe_template": bytes.fromhex(golden["kprobes"]["template"]),
        "kprobe_numbers": sorted(name for name, value in golden["kprobes"].items() if isinstance(value, int)),
        "rodata": (start, (start + rodata.size + PAGE - 1) // PAGE * PAGE),
    }


def _function_pointers(kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["function-pointers"]
    tables = {
        name: _numbers(code, kernel.blob(f"function-pointers.{name}"))
        for name, code in (("pages", "I"), ("index", "I"), ("slots", "H"), ("targets", "I"))
    }
    places = [
        golden["va"] + page * PAGE + tables["slots"][slot]
        for number, page in enumerate(tables["pages"])
        for slot in range(tables["index"][number], tables["index"][number + 1])
    ]
    ends = accumulate((len(values) for values in golden["sets"]), initial=0)
    return {
        "va": golden["va"],
        "arrays": {
            "pages": ("uint32_t", tables["pages"]),
            "page_index": ("uint32_t", tables["index"]),
            "slots": ("uint16_t", tables["slots"]),
            "targets": ("uint32_t", [target % (1 << 32) for target in tables["targets"]]),
            "set_index": ("uint32_t", list(ends)),
            "set_values": ("uint32_t", [value for values in golden["sets"] for value in values]),
        },
        "rules": [
            {
                "slot": slot,
                "set": chosen if chosen >= 0 else "TV_POINTER_NO_SET",
                "flags": flags,
                "symbol": _symbol(kernel, places[slot]),
            }
            for slot, chosen, flags in golden["rules"]
        ],
    }


def _page_tables(kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["page-tables"]
    return {"golden": golden, "pointers": golden["pointers"]}


def _ro_after_init(config: Config, kernel: KernelProfile) -> dict[str, Any]:
    golden = kernel.golden["ro-after-init"]
    blob = kernel.blob
    pages = _pages(config, kernel, "ro-after-init")
    values: list[list[int]] = []
    constants = []
    for offset, size, allowed in golden["constants"]:
        entry = {"offset": offset, "size": size, "first": len(values)}
        values += allowed
        symbol = _symbol(kernel, golden["va"] + offset)
        constants.append({**entry, "end": len(values), "symbol": symbol})
    codes: list[bytes] = []
    encodings = []
    for offset, size, allowed in golden["encodings"]:
        entry = {"offset": offset, "size": size, "first": len(codes)}
        codes += [bytes.fromhex(code) for code in allowed]
        encodings.append({**entry, "end": len(codes)})
    return {
        "symbol": golden["symbol"],
        "va": golden["va"],
        "first": golden["start"] - golden["va"],
        "last_size": (golden["size"] - 1) % PAGE + 1,
        "digests": pages["digests"],
        "lines": pages["lines"],
        "arrays": {
            "reloc_index": ("uint32_t", pages["reloc_index"]),
            "relocs": ("uint16_t", pages["relocs"]),
            "run_index": ("uint32_t", _numbers("I", blob("ro-after-init.run_index"))),
        },
        "runs": list(struct.iter_unpack("<HH", blob("ro-after-init.runs"))),
        "values": values,
        "constants": constants,
        "codes": codes,
        "encodings": encodings,
        "sites": list(struct.iter_unpack("<II", blob("ro-after-init.sites"))),
        "sites_at": golden["sites_at"],
        "array": golden["array"],
        "nr_cpu_ids": golden["nr_cpu_ids"],
    }


def _template(template: dict[str, Any]) -> dict[str, Any]:
    return {"code": bytes.fromhex(template["code"]), "fixes": template["fixes"]}


def _numbers(code: str, data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data)
