"""A private apt for one Debian suite: own sources, lists and cache, the host's left alone.

Nothing is ever installed, no root is needed, and the host may run another
suite.  Proxies and authentication come from the host's apt.conf as usual.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.paths import cache_dir
from tinyvmi_build.progress import Progress

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LISTS_MAX_AGE = 24 * 3600  # seconds: kernels on the mirror are replaced every few weeks


@dataclass(frozen=True)
class Candidate:
    """The version of a package that the suite offers now: its file's name and size in bytes."""

    package: str
    file: str
    size: int


class Apt:
    """apt-get and apt-cache for `suite`; lists are refreshed once a day or on `update()`.

    With `sources`, for source packages, of the suite's main archive alone: mirrors may lack others' sources.
    """

    def __init__(self, suite: str, progress: Progress, sources: bool = False):
        if not re.fullmatch(r"[a-z]+", suite):
            raise MissingEnvironmentError(f"'{suite}' is no Debian suite", hint="name one such as bookworm")
        self.suite = suite
        self.progress = progress
        self.sources = sources
        self.root = cache_dir("apt", f"{suite}-sources" if sources else suite)

    def _write_sources(self) -> None:
        if not _KEYRING.exists():
            raise MissingEnvironmentError(
                f"{_KEYRING} is missing, Debian's packages cannot be verified",
                hint="apt-get install debian-archive-keyring",
            )
        mirror = host_mirror()
        suites = [(mirror, self.suite)]
        if self.suite not in ("sid", "unstable") and not self.sources:
            security = re.sub(r"/debian/?$", "/debian-security", mirror)
            suites += [(mirror, f"{self.suite}-updates"), (security, f"{self.suite}-security")]
        kind = "deb-src" if self.sources else "deb"
        (self.root / "sources.list").write_text(
            "".join(f"{kind} [signed-by={_KEYRING} arch=amd64] {uri} {name} main\n" for uri, name in suites)
        )
        for name in ("lists/partial", "cache/archives/partial"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()

    def _answer(self, tool: str, *args: str) -> str:
        """What a question about packages brings; remembered until the lists change (apt is slow)."""
        memory = self.root / "answers.json"
        try:
            answers = json.loads(memory.read_text())
        except (OSError, ValueError):
            answers = {}
        key = " ".join((tool, *args))
        if key not in answers:
            result = self._run(tool, *args)
            if result.returncode or not result.stdout:
                raise MissingEnvironmentError(
                    f"Debian {self.suite}: {_errors(result.stderr) or 'apt knows nothing of ' + args[-1]}",
                    hint="is the network up? `tinyvmi-build doctor` says what is missing",
                )
            answers[key] = result.stdout
            memory.write_text(json.dumps(answers))
        return str(answers[key])

    def _command(self, tool: str, *args: str) -> list[str]:
        settings = {
            "Dir::Etc::SourceList": self.root / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State::Lists": self.root / "lists",
            "Dir::State::Status": self.root / "status",
            "Dir::Cache": self.root / "cache",
            # Container images switch the binary caches off; without them each call parses all lists.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            # A download into a folder of the user's own: apt's sandbox user could not write there.
            "APT::Sandbox::User": "",
        }
        options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
        return [tool, "-qq", *options, *args]

    def _run(self, tool: str, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(tool, *args),
                cwd=cwd,
                capture_output=True,
                text=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                check=False,
            )
        except FileNotFoundError:
            raise MissingEnvironmentError(
                f"{tool} is missing", hint="the lab takes its parts from Debian packages: run it on Debian"
            ) from None

    def update(self, force: bool = False) -> str:
        """Refresh the package lists if they are old; the trouble apt had, "" if none."""
        stamp = self.root / "updated"
        if not force and stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_MAX_AGE:
            return ""
        self._write_sources()
        (self.root / "answers.json").unlink(missing_ok=True)
        with self.progress.step(f"package lists of {self.suite}"):
            result = self._run("apt-get", "update")
        trouble = _errors(result.stderr)
        # An archived suite lacks -updates or -security: what counts is whether packages are found.
        lists = "*_Sources*" if self.sources else "*_Packages*"
        if any((self.root / "lists").glob(lists)) and not trouble:
            stamp.touch()
        return trouble

    def candidates(self, names: list[str]) -> list[Candidate]:
        """What the suite offers for `names`, in their order; MissingEnvironmentError if one is unknown."""
        found = []
        for line in self._answer("apt-get", "download", "--print-uris", *names).splitlines():
            match = re.match(r"'[^']+' (\S+) (\d+)", line)
            if match:
                file = match[1]
                found.append(Candidate(file.split("_", 1)[0], file, int(match[2])))
        by_name = {candidate.package: candidate for candidate in found}
        missing = [name for name in names if name not in by_name]
        if missing:
            raise MissingEnvironmentError(f"Debian {self.suite} offers no package {', '.join(missing)}")
        return [by_name[name] for name in names]

    def depends(self, name: str) -> list[str]:
        """Names of the packages that `name` depends on, alternatives left out."""
        for line in self._answer("apt-cache", "show", "--no-all-versions", name).splitlines():
            if line.startswith("Depends:"):
                return [item.split()[0] for item in line.removeprefix("Depends:").split(",") if item.strip()]
        return []

    def download(self, names: list[str], folder: Path) -> str:
        """Download `names` into `folder`; apt checks the digests.  The trouble apt had, "" if none."""
        result = self._run("apt-get", "download", *names, cwd=folder)
        return "" if result.returncode == 0 else _errors(result.stderr) or "apt-get download failed"

    def source(self, name: str, folder: Path) -> str:
        """Download the source package `name` into `folder`, unpacked by nobody.  As `download`."""
        result = self._run("apt-get", "source", "--download-only", name, cwd=folder)
        return "" if result.returncode == 0 else _errors(result.stderr) or "apt-get source failed"


def host_mirror() -> str:
    """The Debian mirror that this host uses; MissingEnvironmentError if its apt has none."""
    try:
        result = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"],
            capture_output=True,
            text=True,
            check=False,
        )
        uris = [line.rstrip("/") for line in result.stdout.splitlines() if line.startswith("http")]
        return uris[0]
    except (FileNotFoundError, IndexError):
        raise MissingEnvironmentError(
            "this machine's apt knows no Debian mirror",
            hint="run it on Debian, with a mirror in /etc/apt/sources.list",
        ) from None


def _errors(stderr: str) -> str:
    lines = [line.removeprefix("E: ") for line in stderr.splitlines() if line.startswith("E: ")]
    return "; ".join(lines[:3])
