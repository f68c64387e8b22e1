"""Where /dev/shm cannot be used a profile is made all the same, and `doctor` names the cause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyvmi_build.timeouts import timeout

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")


def without(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run tinyvmi-build with a read-only /dev/shm of its own."""
    hidden = 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"'
    code = "import sys; from tinyvmi_build.cli.main import main; main()"
    command = ["unshare", "-m", "sh", "-c", hidden, "sh", sys.executable, "-c", code, *arguments]
    environment = os.environ | {"TINYVMI_CACHE": str(cache)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout(600), check=False
    )


def test_a_profile(cloud_kernel: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.profile"
    done = without("profile", "build", str(cloud_kernel), "-o", str(out), cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr
    assert out.stat().st_size > 100_000


def test_doctor(tmp_path: Path) -> None:
    done = without("doctor", "--json", cache=tmp_path)
    rows = {row["id"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["shared-memory"]["status"] == "absent"
    assert "mount -t tmpfs tmpfs /dev/shm" in rows["shared-memory"]["fix"]
