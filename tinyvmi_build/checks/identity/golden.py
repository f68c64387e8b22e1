"""identity: build-id and banner, by which a running kernel is found (`profile.discovery`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage


@dataclass(frozen=True)
class IdentityGolden(GoldenValues):
    """Nothing of its own: what is compared is what the kernel is found by."""

    CHECK: ClassVar[str] = "identity"


def compute(image: KernelImage) -> IdentityGolden:
    """Of a kernel that has a build-id and a banner, as all have of which there is a profile."""
    return IdentityGolden()
