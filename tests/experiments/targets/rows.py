"""The kinds of targets, how each is made, and what is tampered with in it."""

from __future__ import annotations

from dataclasses import dataclass

from tinyvmi_build.checks.tamper import Change, changes, register_changes

TARGET_MODE, FLASK_MODE = "target", "flask"


@dataclass(frozen=True)
class Row:
    """One kind of target under one privilege: a row of the table."""

    name: str
    kind: str  # as `Lab.create_target` knows it
    mode: str = TARGET_MODE
    vcpus: int = 1
    moves: bool = False  # its kernel puts itself somewhere else at each boot
    whole: bool = False  # a tamper of every check, and not of _SOME

    @property
    def tampers(self) -> list[Change]:
        """The first change of each check that a monitor of this mode makes."""
        found: dict[str, Change] = {}
        known: list[Change] = [*changes()]
        if self.mode == FLASK_MODE:
            known += register_changes("pv" if self.kind == "pv" else "pvh")
        for change in known:
            # What hides the kernel from a monitor that starts afterwards is no finding.
            if change.caught_by and not change.hides_kernel:
                found.setdefault(change.caught_by, change)
        return [change for check, change in found.items() if self.whole or check in _SOME]


#: By a pointer, in place, in what is written at boot, by walks, elsewhere, and not in memory.
_SOME = ("syscall-table", "text", "ro-after-init", "page-tables", "modules", "registers")

ROWS = (
    Row("PVH", "pvh", whole=True),
    Row("PVH, 4 vCPUs", "pvh", vcpus=4),
    Row("PVH, KASLR", "pvh-grub", moves=True),
    Row("HVM, KASLR", "hvm", moves=True),
    Row("PVH, FLASK", "pvh", FLASK_MODE, vcpus=2),
    Row("PV, FLASK", "pv", FLASK_MODE, vcpus=2),
)

#: What has no row, and why.
NOT_RUN = {
    "PV in target mode": "Xen refuses it: `XEN_DOMCTL_set_target` answers EOPNOTSUPP for a PV target"
    " (`test_privilege_over_a_pv_domain_is_refused` in `tests/lab/test_launch.py`)",
    "PV with KASLR": "does not exist: the decompressor moves a kernel, and a PV guest starts after it",
    "HVM and PVH with KASLR, in FLASK mode": "not tried: the mode decides who may map, which the rows of"
    " FLASK mode show; discovery does not depend on the mode",
    "more tampers with KASLR, in FLASK mode and of PV guests": "`make flask` and"
    " `pytest --long tests/lab/test_kaslr.py` make them, on the built-in base",
    "5-level page tables": "a PV dom0 does not boot on an emulated processor that has them; memory images"
    " with them are `la57` in [kernels × circumstances](matrix.md)",
}


def named(name: str) -> Row:
    """KeyError if there is none."""
    return {row.name: row for row in ROWS}[name]
