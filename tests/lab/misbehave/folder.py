"""Build folders, as `launch` takes them, for the misbehaving image in each of its modes."""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.misbehave.build import SOURCE
from tinyvmi_build import json_output

IMAGE_ID = "0123456789abcdef"  # what misbehave.c says of itself


def modes() -> list[str]:
    """The names in misbehave.c's table."""
    table = SOURCE.read_text().partition("modes[] = {")[2]
    return re.findall(r'\{ "([a-z-]+)", ', table)


def files(image: Path, root: str) -> dict[str, Path | bytes]:
    """Path in dom0 → content: ROOT/MODE is a build folder for each mode."""
    found: dict[str, Path | bytes] = {f"{root}/misbehave.elf": image}
    for mode in modes():
        folder = f"{root}/{mode}"
        name = f"tinyvmi-{mode}"
        manifest = {
            "name": mode,
            "target": "target",
            "image": f"{name}.gz",
            "config": f"{name}.cfg",
            "profile": f"{name}.profile",
            "period_ms": 1000,
            "jitter_pct": 0,
            "heartbeat_ms": 1000,
            "poll_ms": 100,
            "time_budget_us": 0,
            "comparison": "bytes",
            "checks": ["identity"],
            "image_id": IMAGE_ID,
            "privilege": "target",
        }
        config = (
            f'name = "{name}"\ntype = "pv"\nkernel = "../misbehave.elf"\nextra = "{mode}"\nmemory = 16\n'
            'on_crash = "preserve"\n'
        )
        found[f"{folder}/{name}.json"] = json_output.document("manifest", manifest).encode()
        found[f"{folder}/{name}.cfg"] = config.encode()
        found[f"{folder}/{name}.gz"] = b"the config names the image that all modes share"
        found[f"{folder}/{name}.profile"] = b"no profile"
    return found
