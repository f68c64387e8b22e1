"""Xen with XSM and its FLASK policy, built from a suite's source package; Debian's own has no XSM.

Both are kept in the cache: the hypervisor takes one and a half minutes on two
cores, a policy some seconds.  Nothing is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.lab.machine.packages import SUITE, XEN_VERSIONS, extract, fetch_source, packaged_xen_config
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

_OPTIONS = ("CONFIG_XSM=y", "CONFIG_XSM_FLASK=y", "CONFIG_XSM_FLASK_POLICY=y")
# Xen puts these into its banner: fixed, so that one source gives one hypervisor.
_SAID = {
    "XEN_BUILD_DATE": "unset",
    "XEN_BUILD_TIME": "unset",
    "XEN_WHOAMI": "tinyvmi",
    "XEN_DOMAIN": "lab",
    "XEN_BUILD_HOST": "lab",
}
_TOOLS = ("gcc", "make", "m4", "checkpolicy", "bison", "flex", "python3")
_POLICY = ("tools/flask/policy", "xen/xsm/flask/policy")


def xsm_hypervisor(progress: Progress | None = None, suite: str = SUITE) -> Path:
    """Xen's ELF file with XSM, FLASK and its built-in policy; MissingEnvironmentError if the build fails."""
    progress = progress or Progress()
    source = fetch_source("xen", suite, progress)
    config = packaged_xen_config(progress, suite)
    folder = cache_dir("xsm") / _key(source, config, "\n".join(_OPTIONS).encode())
    elf = folder / "xen.elf"
    if not elf.exists():
        _require(_TOOLS)
        with (
            progress.step("build Xen with XSM from its source package"),
            tempfile.TemporaryDirectory(prefix="tinyvmi-xen.") as name,
        ):
            top = _unpack(source, Path(name))
            text = config.read_text() + "".join(f"{line}\n" for line in _OPTIONS)
            (top / "xen/.config").write_text(text)
            jobs = f"-j{os.cpu_count() or 1}"
            _run(["make", "-C", "xen", "olddefconfig"], top)
            _run(["make", "-C", "xen", jobs], top)
            _keep(top / "xen/xen", elf)
    return elf


def xsm_policy(modules: Mapping[str, str], progress: Progress | None = None, suite: str = SUITE) -> bytes:
    """Xen's policy with `modules` (name → text of a .te) added, in the binary form that Xen loads."""
    progress = progress or Progress()
    source = fetch_source("xen", suite, progress)
    text = "".join(f"{name}\0{body}\0" for name, body in sorted(modules.items()))
    result = cache_dir("xsm") / _key(source, None, text.encode()) / "xenpolicy"
    if not result.exists():
        _require(("make", "m4", "checkpolicy"))
        with (
            progress.step("build the FLASK policy"),
            tempfile.TemporaryDirectory(prefix="tinyvmi-policy.") as name,
        ):
            policy = _unpack(source, Path(name), _POLICY) / _POLICY[0]
            with (policy / "modules/modules.conf").open("a") as conf:
                for module, body in modules.items():
                    (policy / f"modules/{module}.te").write_text(body)
                    conf.write(f"{module} = on\n")
            output = Path(name) / "built"
            output.mkdir()
            options = [f"FLASK_BUILD_DIR={output}", f"XEN_FULLVERSION={XEN_VERSIONS[suite]}"]
            _run(["make", "-f", "Makefile.common", *options], policy)
            _keep(output / f"xenpolicy-{XEN_VERSIONS[suite]}", result)
    return result.read_bytes()


def _key(source: Path, config: Path | None, rest: bytes) -> str:
    parts = [source.name.encode(), config.read_bytes() if config else b"", rest]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _require(tools: Sequence[str]) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise MissingEnvironmentError(
            f"Xen with XSM cannot be built: {', '.join(missing)} missing",
            hint=f"apt-get install {' '.join(missing)}",
        )


def _unpack(source: Path, into: Path, parts: Sequence[str] = ()) -> Path:
    """Unpack the source (or only `parts` of it); its top folder."""
    with tarfile.open(source) as archive:
        members = [m for m in archive if not parts or any(f"/{part}/" in m.name for part in parts)]
        extract(archive, into, members)
    return next(path for path in into.iterdir() if path.is_dir())


def _run(argv: Sequence[str], cwd: Path) -> None:
    env = {**os.environ, **_SAID, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise MissingEnvironmentError(
            f"`{' '.join(argv)}` failed\n{tail}", hint="is the compiler too new for this Xen?"
        )


def _keep(made: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    partial = at.with_suffix(f".{os.getpid()}")
    shutil.copy(made, partial)
    partial.rename(at)
