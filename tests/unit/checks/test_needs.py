"""A check is unsupported, with the true reason, where the kernel's file lacks what it needs."""

from __future__ import annotations

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.checks import registry
from tinyvmi_build.checks.needs import Needs
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.package import KernelFile
from tinyvmi_build.profile.golden import Unsupported


def image(tail: bytes | None = None) -> KernelImage:
    data = writers.vmlinux() if tail is None else writers.vmlinux(tail=tail)
    return KernelImage(KernelFile("vmlinux-x", data, None))


def test_a_file_without_relocations() -> None:
    bare, whole = image(tail=b""), image()
    for need in Needs:
        assert need.missing(whole) == ""
    assert Needs.POINTERS.missing(bare) == "its file vmlinux-x has no relocations: give the package's vmlinuz"


def test_a_kernel_that_never_moves_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = image(tail=b"")
    known = {"kernel_randomize_memory": 1}
    monkeypatch.setattr(type(bare.symbols), "get", lambda self, name: known.get(name))
    assert Needs.RELOCATIONS.missing(bare)
    known.clear()
    assert Needs.RELOCATIONS.missing(bare) == ""
    assert Needs.POINTERS.missing(bare)


def test_the_reason_is_the_checks_answer() -> None:
    answers = registry.compute(image(tail=b""))
    for check in registry.checks():
        if Needs.POINTERS in check.needs:
            answer = answers[check.name]
            assert isinstance(answer, Unsupported) and "has no relocations" in answer.reason, check.name
    assert not isinstance(answers["identity"], Unsupported)


def test_what_digests_or_counts_relocations_says_so() -> None:
    """Each of these would call a clean kernel at another address tampered, or say what is untrue."""
    needing = {check.name for check in registry.checks() if check.needs}
    assert needing >= {"syscall-table", "rodata", "text", "ro-after-init", "function-pointers", "modules"}
