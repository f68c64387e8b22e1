"""text: patch sites, and the bytes that a changed line of code must have."""

from __future__ import annotations

from functools import cached_property

from tinyvmi_build.checks.lib.digest_range import PAGE
from tinyvmi_build.checks.lib.evidence import Changed, Evidence, Finding, Line, in_instructions, without_sites
from tinyvmi_build.checks.lib.relocated import relocated
from tinyvmi_build.checks.text.calls import calls_of, padded
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSites
from tinyvmi_build.profile.golden import Unsupported

_CALL = 5  # bytes


class TextEvidence(Evidence):
    """Code is the file's, relocated, but at patch sites and where call depths are counted."""

    @cached_property
    def _golden(self) -> TextGolden | None:
        found = self.kernel.values(TextGolden)
        return None if isinstance(found, Unsupported) else found

    @cached_property
    def _sites(self) -> PatchSites | None:
        return PatchSites(self._golden) if self._golden else None

    def site(self, finding: Finding, address: int) -> str:
        found = self._sites.at(self.link(address)) if self._sites else None
        return f"{found.name}, {found.size} bytes" if found else ""

    def code_change(self, finding: Finding) -> Changed | None:
        golden, sites = self._golden, self._sites
        if golden is None or sites is None:
            return None
        va, actual = self.link(finding.address), finding.actual
        limit = golden.va + golden.size

        def code(at: int, size: int) -> bytes | None:
            return relocated(self.kernel, golden.va, golden.content, at, min(size, limit - at), self.delta)

        wanted = code(va, len(actual)) if va + len(actual) <= limit else None
        if wanted is None:
            return None
        near = sites.within(va, va + len(actual))
        line = without_sites(va, wanted, actual, near)
        _take_counted(golden, va, line, actual)
        changed = in_instructions(Line(va, bytes(line), actual, near), sites.function_of, code, code)
        if changed is None:
            return None
        running = changed.va + self.delta & (1 << 64) - 1
        return Changed(running, changed.expected, changed.actual, changed.sites, changed.cut)


def _take_counted(golden: TextGolden, va: int, line: bytearray, actual: bytes) -> None:
    """Put in what call-depth accounting has changed: calls that lead before the function, padding."""
    size = len(golden.call_pad.code)
    if not size:
        return
    page = (va - golden.va) // PAGE
    for offset in padded(golden.code, page):
        at = golden.va + page * PAGE + offset - size - va
        if at >= 0 and at + size <= len(line):
            line[at : at + size] = actual[at : at + size]
    for offset in calls_of(golden.code, page):
        at = golden.va + page * PAGE + offset - va
        if at >= 0 and at + _CALL <= len(line):
            old = int.from_bytes(line[at + 1 : at + _CALL], "little")
            moved = (old - size & 0xFFFFFFFF).to_bytes(4, "little")
            if actual[at + 1 : at + _CALL] == moved:
                line[at + 1 : at + _CALL] = moved
