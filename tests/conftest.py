"""What all tests share: `--bless` for goldens, and hypothesis settings that suit a busy machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from tinyvmi_build.progress import Progress
from tinyvmi_build.timeouts import calibrate, scale

settings.register_profile(
    "tinyvmi", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tinyvmi")

_XEN_TIERS = ("tests/smoke/", "tests/lab/")
_SHARED = ("tests/lab/flask/", "tests/lab/", "tests/smoke/")  # whose tests share a lab, an image
_OPTIONAL = "TINYVMI_MINIOS_TREE names no tree"  # the one reason to skip that hides no missing lab
_RUN_S = 75 * 60  # for continuous integration, which ends a run after 90 minutes without showing why
_outcomes: dict[str, str] = {}  # test → its worst outcome over set-up, call and tear-down
_ORDER = ["passed", "skipped", "failed"]
_may_skip: set[str] = set()

GOLDEN = Path(__file__).parent / "support" / "expected"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="write the golden files instead of comparing with them"
    )
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


def pytest_configure(config: pytest.Config) -> None:
    """Measure this machine, so that time limits suit it; doubled, as others may come to use it."""
    calibrate(least=2)
    if os.environ.get("CI") == "true" and not hasattr(config, "workerinput"):
        signal.signal(signal.SIGALRM, _end_run)
        signal.alarm(_RUN_S)


def _end_run(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(f"the run takes longer than {_RUN_S // 60} minutes")


def pytest_report_header(config: pytest.Config) -> str:
    return f"emulation timeout scale: {scale():.1f}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """With `-n 2 --dist loadfile` the tests of a lab, which share it, stay in one process; others by file."""
    from xdist.scheduler import LoadScopeScheduling

    class ByTier(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            tier = next((tier for tier in _SHARED if nodeid.startswith(tier)), None)
            return tier or nodeid.partition("::")[0]

        def remove_node(self, node: object) -> str | None:
            """A test in which a process ended is not run again; what comes after it is.

            What the process had finished goes, too: another that is given a file with nothing left
            to run waits for ever.
            """
            work = self.assigned_work.get(node, {})
            left = (test for unit in work.values() for test, is_done in unit.items() if not is_done)
            crashed: str | None = next(left, None)
            if crashed is not None:
                work[self._split_scope(crashed)][crashed] = True
            for scope in [scope for scope, unit in work.items() if all(unit.values())]:
                del work[scope]
            super().remove_node(node)
            return crashed

        def schedule(self) -> None:
            """Give a process two tests, or tell it that no more come: with one it waits for the next."""
            super().schedule()
            for node in self.nodes:
                work = self.assigned_work[node]
                while self.workqueue and not node.shutting_down and self._pending_of(work) < 2:
                    self._reschedule(node)
                if not self.workqueue:
                    self._reschedule(node)

    return ByTier(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long`: more of what other tests show already."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("dir/name", text)`: text must equal tests/support/expected/dir/name (`--bless` writes it)."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--bless"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.is_file(), f"{path} does not exist: look at the output and run pytest --bless"
        assert text == path.read_text(encoding="utf-8"), (
            f"{path} differs: if that is meant, run pytest --bless"
        )

    return compare


@pytest.fixture(scope="session")
def cloud_kernel() -> Path:
    """The package of Debian's current cloud kernel, from the lab's cache or mirror."""
    from tinyvmi_build.lab.machine.packages import fetch_kernel

    return fetch_kernel(progress=Progress(quiet=True))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    old = _outcomes.get(report.nodeid, "passed")
    _outcomes[report.nodeid] = max(old, report.outcome, key=_ORDER.index)
    if report.skipped and _OPTIONAL in str(report.longrepr):
        _may_skip.add(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.outcome != "passed":  # a module that cannot be imported, or skips as a whole
        _outcomes[report.nodeid] = report.outcome


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a skipped lab is a failure: nothing was proven."""
    if hasattr(session.config, "workerinput"):
        return  # the process that started this one counts
    skipped = [
        test
        for test, outcome in _outcomes.items()
        if outcome == "skipped" and test.startswith(_XEN_TIERS) and test not in _may_skip
    ]
    if skipped and os.environ.get("CI") == "true" and session.exitstatus == pytest.ExitCode.OK:
        print(f"\nerror: CI=true and {len(skipped)} tests of the Xen tiers were skipped, e.g. {skipped[0]}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of all."""
    if not config.option.collectonly and not hasattr(config, "workerinput"):
        counts = {outcome: sum(o == outcome for o in _outcomes.values()) for outcome in _ORDER}
        print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
