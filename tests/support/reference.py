"""The generated parts of the documentation: which there are, and what stands in each.

A page marks such a part with two comments, `<!-- generated: NAME -->` and `<!-- end -->`.  What stands
between them follows from the code that defines it; tests/unit/test_docs.py holds the two equal, and
`python -m tests.support.reference` writes all pages anew, and the manual page.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinyvmi_build.config.kinds import Kind

ROOT = Path(__file__).parents[2]
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page of the repository that a person reads and that may have generated parts."""
    names = (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGES.md",
        "minios_app/kernel/README.md",
        "xen-configs/README.md",
    )
    top = [ROOT / name for name in names]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def parts_of(page: Path) -> dict[str, str]:
    """The generated parts of `page` as they stand there, by name."""
    return {match[2]: match[3].strip("\n") for match in PART.finditer(page.read_text("utf-8"))}


def written(page: Path) -> str:
    """`page` with all its generated parts made anew."""
    return PART.sub(
        lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[4]}", page.read_text(encoding="utf-8")
    )


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def config() -> str:
    """Every key of tinyvmi.toml: its table, kinds of value, default and meaning."""
    from tinyvmi_build.config import model

    out = []
    for section in model.sections().values():
        rows = (
            (f"`{key.path[-1]}`", value_text(key.kind), default_text(key.kind, key.default), key.doc)
            for key in section.keys
        )
        out += [
            f"## `[{'.'.join(section.path)}]`",
            textwrap.fill(" ".join(section.doc.split()), 98),
            table(("key", "value", "default", "meaning"), rows),
        ]
    return "\n\n".join(out)


def value_text(kind: object) -> str:
    """What a key of `kind` takes, in words."""
    from tinyvmi_build.config import kinds
    from tinyvmi_build.duration import duration_text

    if isinstance(kind, kinds.Bool):
        return "`true`, `false`"
    if isinstance(kind, kinds.Int):
        return f"{kind.low} to {kind.high:,} {kind.unit}"
    if isinstance(kind, kinds.Duration):
        return f"duration, {duration_text(kind.low)} to {duration_text(kind.high)}"
    if isinstance(kind, kinds.Choice):
        return ", ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, kinds.Text):
        return kind.wanted
    if isinstance(kind, kinds.Strings):
        return "list of strings"
    if isinstance(kind, kinds.FilePath):
        return "path"
    if isinstance(kind, kinds.FilePaths):
        return "list of paths"
    if isinstance(kind, kinds.Tree):
        return '`"built-in"`, path, `{ git, rev }`'
    raise TypeError(f"no words for {kind!r}")


def default_text(kind: Kind, default: object) -> str:
    """The default of a key as TOML; none for a key without one."""
    return "none" if default is None else f"`{kind.show(default)}`"


STATUS = {
    "INTACT": "intact; or the verb did what it was asked to do",
    "INTERNAL": "internal error: a fault of the tool; in `lab run`, a tamper that was not detected",
    "USAGE": "wrong usage, or input that cannot be used: an option, a key, a file",
    "UNVERIFIABLE": "unverifiable, or nothing was checked",
    "ENVIRONMENT": "something outside is missing or failed: no Xen, no QEMU, no compiler, no target",
    "TAMPERED": "**tampered**",
    "MONITOR_LOST": "monitor lost: it crashed, fell silent, or its record stream is broken",
    "INTERRUPTED": "interrupted before there was a verdict",
}


def exit_status() -> str:
    """Every exit status of the tool."""
    from tinyvmi_build.errors import Exit

    return table(("status", "meaning"), ((str(int(code)), STATUS[code.name]) for code in Exit))


def checks() -> str:
    """The checks, in the order in which a monitor makes them, each with its page."""
    from tinyvmi_build.checks import registry

    rows = (
        (f"[`{check.name}`](docs/design/checks/{check.name}.md)", check.summary)
        for check in registry.checks()
    )
    return table(("check", "what it verifies"), rows)


def check_pages() -> str:
    """The pages of the checks, as links from docs/."""
    from tinyvmi_build.checks import registry

    return "\n".join(f"  - [{name}](design/checks/{name}.md)" for name in registry.names())


def sample() -> str:
    """What `make run` prints (tests/lab/test_sample.py compares it with a run)."""
    text = (ROOT / "tests" / "support" / "expected" / "run.txt").read_text("utf-8")
    return f"```text\n{text.rstrip()}\n```"


def findings() -> str:
    """Every kind of finding: what it means, and who may have made such a change legitimately."""
    from tinyvmi_build.checks import registry

    out = []
    for check in registry.checks():
        rows = ((f"`{kind.name}`", kind.meaning, kind.attribution) for kind in check.kinds)
        out += [
            f"## `{check.name}`",
            textwrap.fill(check.summary, 98),
            f"[How it works](../design/checks/{check.name}.md).",
            table(("kind", "meaning", "who may do this legitimately"), rows),
        ]
    return "\n\n".join(out)


def commands() -> str:
    """The help of every verb, as the tool prints it."""
    helps = ROOT / "tests" / "support" / "expected" / "help"
    out = []
    for name in sorted((path.stem for path in helps.glob("*.txt")), key=lambda name: (name != "root", name)):
        title = "tinyvmi-build" if name == "root" else f"tinyvmi-build {name.replace('-', ' ')}"
        out.append(f"## {title}\n\n```text\n{(helps / f'{name}.txt').read_text('utf-8').rstrip()}\n```")
    return "\n\n".join(out)


_JSON = {
    "bench": "`bench --json`",
    "build": "`build --json`",
    "config": "`config show --json`",
    "doctor": "`doctor --json`",
    "event": "a line of `launch --json`, `check --json` and `lab run --json`",
    "image": "`inspect --json`",
    "init": "`init --json`",
    "manifest": "`tinyvmi-NAME.json` in a build folder",
    "profile": "`profile show --json`",
    "profile-build": "`profile build --json`",
    "symbols": "`profile show --symbol NAME --json`",
}


def json_schemas() -> str:
    """Every JSON object that the tool writes for other programs."""
    from tinyvmi_build.json_output import VERSIONS, schema_name

    rows = ((f"`{schema_name(name)}`", str(version), _JSON[name]) for name, version in VERSIONS.items())
    return table(("schema", "version", "written by"), rows)


def coverage() -> str:
    """Which kernels were tried under how many circumstances, from the results of `make matrix`."""
    text = (ROOT / "docs" / "results" / "matrix.md").read_text("utf-8")
    kernels = [cells(line) for line in section(text, "Kernels") if line.startswith("| ")][1:]
    head, *rows = [cells(line) for line in section(text, "Results") if line.startswith("| ")]
    out = []
    for kernel in kernels:
        if set(kernel[0]) == {"-"}:
            continue
        marks = [row[head.index(kernel[0])].removesuffix("°") for row in rows if set(row[0]) != {"-"}]
        good = sum(mark.startswith("✓") for mark in marks)
        bad = sum(mark.startswith("✗") for mark in marks)
        out.append((kernel[0], kernel[1], f"{good}", f"{bad}", f"{len(marks) - good - bad}"))
    return table(("kernel", "release", "as expected", "not as expected", "could not be set up"), out)


def section(text: str, title: str) -> list[str]:
    """The lines of the section `title` of a page."""
    after = text.split(f"## {title}\n", 1)[1]
    return after.split("\n## ", 1)[0].splitlines()


def cells(line: str) -> list[str]:
    """The cells of a row of a table in Markdown."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


PARTS: dict[str, Callable[[], str]] = {
    "check-pages": check_pages,
    "checks": checks,
    "commands": commands,
    "config": config,
    "coverage": coverage,
    "exit-status": exit_status,
    "findings": findings,
    "json": json_schemas,
    "sample": sample,
}


def main() -> None:
    """Write every page anew."""
    for page in pages():
        if page.is_file() and (text := written(page)) != page.read_text("utf-8"):
            page.write_text(text, encoding="utf-8", newline="\n")
            print(f"wrote {page.relative_to(ROOT)}")
    from tests.support.manual import PAGE, manual

    PAGE.write_text(manual(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
