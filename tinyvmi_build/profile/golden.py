"""Golden values in a profile: a dataclass a check, or the reason why the check cannot verify the kernel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from tinyvmi_build.profile.encoding import encode


@dataclass(frozen=True)
class GoldenValues:
    """What a kernel's package says that the running kernel must have; each check has a subclass."""

    #: The name of the check.
    CHECK: ClassVar[str]


@dataclass(frozen=True)
class Unsupported:
    """Why a check cannot verify a kernel: the reason of its `unverifiable`."""

    reason: str


def golden_sections(check: str, values: GoldenValues | Unsupported) -> dict[str, bytes]:
    """The sections of a profile that hold a check's golden values."""
    if isinstance(values, Unsupported):
        return {f"golden/{check}": as_json({"unsupported": values.reason})}
    stored, blobs = encode(values)
    return {f"golden/{check}": as_json({"values": stored})} | {
        f"golden/{check}/{path}": blob.data for path, blob in blobs.items()
    }


def as_json(value: object) -> bytes:
    """JSON as a profile stores it: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
