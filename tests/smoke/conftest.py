"""The smoke tier: Xen boots the base kernel's test image in the place of dom0."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.smoke.booting import Boot, boot, build_smoke_image
from tests.smoke.tap import Tap, parse

CROSS_FILES = {"gcc": "x86_64-tinyvmi.cross", "clang": "x86_64-tinyvmi-clang.cross"}


@pytest.fixture(scope="session")
def smoke_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`smoke_image("gcc")`: the test image, built once a session."""
    built: dict[str, Path] = {}

    def image(compiler: str) -> Path:
        if compiler not in built:
            if shutil.which(compiler) is None:
                pytest.skip(f"{compiler} is not installed")
            folder = tmp_path_factory.mktemp(f"smoke-{compiler}")
            built[compiler] = build_smoke_image(folder, CROSS_FILES[compiler])
        return built[compiler]

    return image


@pytest.fixture(scope="session", autouse=True)
def needs_qemu() -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed (apt-get install qemu-system-x86)")


@pytest.fixture(scope="session", params=list(CROSS_FILES))
def full_run(request: pytest.FixtureRequest, smoke_image: Callable[[str], Path]) -> tuple[Boot, Tap]:
    """The boot that runs all tests of the base, as compiled by each compiler."""
    result = boot(smoke_image(request.param))
    return result, parse(result.lines)
