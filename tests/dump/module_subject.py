"""A kernel with modules loaded: its facts, checker and memory for the tests of `modules`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.dump.conftest import Checked, Memory
from tinyvmi_build.checks.modules.layout import Area
from tinyvmi_build.checks.modules.loaded import LoadedModule
from tinyvmi_build.checks.text.patch_sites import PatchSite, PatchSites
from tinyvmi_build.config.load import load
from tinyvmi_build.image.build import build_host_checker, profiles_of
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.lab.machine.packages import fetch_kernel, parts_of, unpacked_kernel
from tinyvmi_build.progress import Progress

#: What is loaded, of what a kernel has: file systems, networks, cryptography with its own assembly, drivers.
LOADED = (
    *("crc32c_generic", "crc32c_intel", "ext4", "xfs", "btrfs", "vfat", "overlay", "fuse", "isofs", "loop"),
    *(
        "nf_tables",
        "nft_ct",
        "nft_chain_nat",
        "nf_conntrack",
        "xt_conntrack",
        "ip_tables",
        "bridge",
        "tun",
        "veth",
    ),
    *("dm_mod", "dm_crypt", "raid6_pq", "aesni_intel", "virtio_net", "virtio_blk", "tcp_bbr", "kvm"),
)


def loadable(package: Path, modules: Iterable[str] = LOADED) -> tuple[str, ...]:
    """Those of `modules` that the kernel in `package` has."""
    files = unpacked_kernel(package).rglob("*.ko*")
    have = {path.name.split(".ko")[0].replace("-", "_") for path in files}
    return tuple(name for name in modules if name in have)


class ModuleSubject:
    """One kernel; only `text` and `modules` are checked, so that a finding is one of them."""

    def __init__(
        self, folder: Path, metapackage: str, suite: str, *, include: tuple[str, ...] = (), more: str = ""
    ):
        self.package = fetch_kernel(metapackage, suite)
        names = ", ".join(f'"{path}"' for path in parts_of(self.package))
        patterns = ", ".join(f'"{name}"' for name in include or loadable(self.package))
        config = folder / "tinyvmi.toml"
        config.write_text(
            f"[kernel]\npackages = [{names}]\n[checks]\nrodata = false\nidt = false\nsyscall-table = false\n"
            f"policy-globals = false\n[checks.modules]\ninclude = [{patterns}]\n{more}"
        )
        loaded = load(config, env={})
        self.profiles = profiles_of(loaded.config, Progress())
        self.profile = self.profiles.kernels[0]
        self.checker = build_host_checker(loaded, profiles=self.profiles)
        self.memory_mib = 512 if "cloud" in metapackage else 768

    def dump(
        self,
        modules: tuple[str, ...] = LOADED,
        extra: str = "",
        cpu: str = "Haswell",
        smp: int = 1,
        script: str = "",
    ) -> Path:
        names = loadable(self.package, modules)
        assert len(names) >= min(12, len(modules)), names
        return raw_dump(
            self.package,
            DumpOptions(self.memory_mib, extra, cpu, smp, modules=names, script=script, seconds=300),
        )


class ModuleTarget:
    """A module in a writable copy of a dump, as `test_text_changes.Target` is the kernel's own text."""

    call_depth = 0

    def __init__(self, memory: Memory, name: str):
        self.memory = memory
        self.module = LoadedModule(memory, name)
        self.places: PatchSites = self.module.sites
        self.symbols = memory.profile.symbols

    def call(self, opcode: int, place: PatchSite, function: str) -> bytes:
        from tinyvmi_build.checks.text.tamper import branch

        return branch(opcode, place.va, self.symbols.lookup(function))

    def pages(self) -> list[int]:
        """Addresses of its verified pages."""
        found = []
        for area in (Area.TEXT, Area.RODATA):
            size = self.module.golden.sizes[area]
            found += [self.module.base[area] + at for at in range(0, size, 4096)]
        return found


def check_after(memory: Memory, changes: list[tuple[int, bytes]], ask: Callable[[], Checked]) -> Checked:
    """What is said with `changes` (address, bytes within a page each) made; they are undone."""
    old = [(va, b"".join(memory.read(va + i, 1) for i in range(len(data)))) for va, data in changes]
    for va, data in changes:
        for i in range(len(data)):
            memory.write(va + i, data[i : i + 1])
    checked = ask()
    for va, data in reversed(old):
        for i in range(len(data)):
            memory.write(va + i, data[i : i + 1])
    return checked
