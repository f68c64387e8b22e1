"""Changes for the `modules` check: in the memory of a loaded module."""

from __future__ import annotations

from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.loaded import LoadedModule
from tinyvmi_build.checks.tamper import Change, Guest
from tinyvmi_build.checks.text.patch_sites import PatchSite
from tinyvmi_build.checks.text.site_kinds import Kind
from tinyvmi_build.checks.text.tamper import branch

MODULE = "nf_tables"
_NEEDED = (MODULE,)
Patches = list[tuple[int, bytes]]


def _sites(guest: Guest, kind: Kind) -> list[PatchSite]:
    return LoadedModule(guest, MODULE).sites.of(kind)


def _hook(guest: Guest) -> Patches:
    """A function's ftrace site becomes a call of a function of the kernel, as rootkits hook."""
    site = _sites(guest, Kind.FTRACE)[5]
    return [(site.va, branch(0xE8, site.va, guest.profile.symbols.lookup("vfs_write")))]


def _plain(guest: Guest) -> Patches:
    """One bit of code between two sites."""
    module = LoadedModule(guest, MODULE)
    at = module.sites.of(Kind.FTRACE)[9].va + 5
    while module.sites.at(at):
        at += 1
    return [(at, bytes([guest.read(at, 1)[0] ^ 0x10]))]


def _call(guest: Guest) -> Patches:
    """A relocated call of one kernel function leads to another."""
    module = LoadedModule(guest, MODULE)
    start = module.base[Area.TEXT]
    code = guest.read(start, 4096)
    symbols = guest.profile.symbols
    for at in range(len(code) - 5):
        target = start + at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
        if code[at] == 0xE8 and not module.sites.at(start + at) and symbols.at(target):
            return [(start + at, branch(0xE8, start + at, symbols.lookup("vfs_write")))]
    raise LookupError(f"the first page of {MODULE} calls no function of the kernel")


def _return(guest: Guest) -> Patches:
    site = _sites(guest, Kind.RETURN)[3]
    if guest.read(site.va, 1) == b"\xe9":
        return [(site.va, bytes.fromhex("c3cccccccc"))]
    thunk = guest.profile.symbols.lookup("__x86_return_thunk")
    return [(site.va, branch(0xE9, site.va, thunk))]


def _jump_label(guest: Guest) -> Patches:
    """One site of a static key that is off behaves as if it were on."""
    for site in _sites(guest, Kind.JUMP_LABEL):
        if site.size == 5 and site.jump and guest.read(site.va, 1) != b"\xe9":
            return [(site.va, branch(0xE9, site.va, site.jump[0]))]
    raise LookupError(f"every static key of {MODULE} is on")


def _pointer(guest: Guest) -> Patches:
    """A pointer to a function in constant data leads to another function of the module."""
    module = LoadedModule(guest, MODULE)
    start, size = module.base[Area.RODATA], module.golden.sizes[Area.RODATA]
    text, code = module.base[Area.TEXT] + guest.delta, module.golden.sizes[Area.TEXT]
    data = module.read(start, size)
    for at in range(0, size - 8, 8):
        value = int.from_bytes(data[at : at + 8], "little")
        if text <= value < text + code:
            return [(start + at, (text + (value - text ^ 0x40)).to_bytes(8, "little"))]
    raise LookupError(f"{MODULE} has no constant pointer to a function")


def _data(guest: Guest) -> Patches:
    """Behind the module's variables in their last page lie its symbols, which nothing here reads."""
    module = LoadedModule(guest, MODULE)
    at = module.base[Area.DATA] + module.golden.sizes[Area.DATA] - 1
    return [(at, bytes([guest.read(at, 1)[0] ^ 1]))]


CHANGES = [
    Change(
        "module-hook", "modules", "a module's function calls a function of the kernel", _hook, modules=_NEEDED
    ),
    Change("module-plain-byte", "modules", "one bit of a module's code", _plain, modules=_NEEDED),
    Change("module-call", "modules", "a module's call leads to another function", _call, modules=_NEEDED),
    Change("module-return", "modules", "one return of a module goes the other way", _return, modules=_NEEDED),
    Change(
        "module-jump-label", "modules", "one site of a static key is switched", _jump_label, modules=_NEEDED
    ),
    Change(
        "module-pointer", "modules", "a constant pointer of a module is changed", _pointer, modules=_NEEDED
    ),
    Change("benign-module-data", None, "a byte of a module's writable data", _data, modules=_NEEDED),
]
