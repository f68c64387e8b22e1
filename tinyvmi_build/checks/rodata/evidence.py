"""rodata: the bytes that a changed line must have."""

from __future__ import annotations

from tinyvmi_build.checks.lib.evidence import Evidence, Finding
from tinyvmi_build.checks.lib.relocated import relocated
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.profile.golden import Unsupported


class RodataEvidence(Evidence):
    """Constants are the file's, relocated."""

    def wanted_data(self, finding: Finding) -> bytes | None:
        golden = self.kernel.values(RodataGolden)
        if isinstance(golden, Unsupported):
            return None
        at = self.link(finding.address)
        return relocated(self.kernel, golden.va, golden.content, at, len(finding.actual), self.delta)
