"""ro-after-init: the bytes that a changed line must have."""

from __future__ import annotations

from tinyvmi_build.checks.lib.evidence import Evidence, Finding
from tinyvmi_build.checks.lib.relocated import relocated
from tinyvmi_build.checks.ro_after_init.golden import EXACT, RoAfterInitGolden
from tinyvmi_build.profile.golden import Unsupported


class RoAfterInitEvidence(Evidence):
    """What is exact is the file's, relocated; other bytes are taken as they are."""

    def wanted_data(self, finding: Finding) -> bytes | None:
        golden = self.kernel.values(RoAfterInitGolden)
        if isinstance(golden, Unsupported):
            return None
        at, actual = self.link(finding.address), finding.actual
        wanted = relocated(self.kernel, golden.va, golden.content, at, len(actual), self.delta)
        if wanted is None:
            return None
        kinds = golden.kinds.data[at - golden.va : at - golden.va + len(actual)]
        return bytes(w if kind == EXACT else a for w, a, kind in zip(wanted, actual, kinds, strict=True))
