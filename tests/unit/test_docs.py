"""The documentation: generated parts are current, links, paths and commands exist, words are plain."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from tests.support import manual, reference
from tests.support.reference import ROOT
from tinyvmi_build.checks import registry
from tinyvmi_build.cli.main import root as cli
from tinyvmi_build.config import model

PAGES = [page for page in reference.pages() if page.is_file()]
RESULTS = ROOT / "docs" / "results"  # written by experiments, never by hand
WRITTEN = [page for page in PAGES if RESULTS not in page.parents]
COLUMNS = 100

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`[^`\n]+`|`[^`]+?`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"(?:docs|tests|tinyvmi_build|minios_app|templates|toolchain|xen-configs)/[\w./+-]*")
_SOURCES = ("*.py", "*.c", "*.h", "*.S", "*.j2", "*.build", "*.toml", "*.json", "*.mk", "*.cfg", "*.te")

# Words that once had a meaning of this project's own (docs/glossary.md has those that are used instead).
_PRIVATE = re.compile(
    r"\b(look(s|ed|ing)?|kept|told|judg(e|es|ed|ing|ment)|doubt\w*|stray\w*|settle[sd]?|bur(y|ies|ied)|"
    r"exhume[sd]?|graves?|patience|rhythm|rest(s|ed)?|slices?|places?|spots?|books|choices|workshops?|owed|"
    r"play(s|ed)?|bad news|is none|the usual)\b",
    re.IGNORECASE,
)
_AMERICAN = re.compile(
    r"\b(colors?|colored|behaviors?|canceled|catalogs?|neighbors?|"
    r"(recogn|optim|initial|normal|organ|summar|real|virtual|minim|maxim)iz\w+)\b",
    re.IGNORECASE,
)


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """`text` without code: blocks in fences, indented blocks, spans, links' targets and comments."""
    text = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    text = re.sub(r"^ {4,}(?![-*\d|]).*$", "", text, flags=re.MULTILINE)
    text = _SPAN.sub(lambda match: "`" + "\n" * match[0].count("\n") + "`", text)
    return re.sub(r"<!--.*?-->", "", _LINK.sub("]()", text))


def by_hand(text: str) -> str:
    """`text` without its generated parts, whose words are those of the code."""
    return reference.PART.sub(lambda match: "\n" * match[0].count("\n"), text)


def commands_in(text: str) -> Iterator[str]:
    """The command lines of `text`'s code: in blocks and in spans."""
    blocks = [match[2] for match in _FENCE.finditer(text) if match[1] in ("", "sh", "console")]
    blocks += re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)
    spans = [match[0].strip("`") for match in _SPAN.finditer(_FENCE.sub("", text))]
    for block in [*blocks, *spans]:
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            for part in re.split(r"&&|\|", line):
                yield part.strip().removeprefix("$ ").removeprefix("sudo ")


def anchors(page: Path) -> set[str]:
    """The anchors of `page`'s headings, as forges make them."""
    text = _FENCE.sub("", page.read_text("utf-8"))
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.strip().lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_generated_parts_are_current(page, request):
    if request.config.getoption("--bless"):
        page.write_text(reference.written(page), encoding="utf-8", newline="\n")
    current = {name: reference.PARTS[name]() for name in reference.parts_of(page)}
    assert reference.parts_of(page) == current, "run `python -m tests.support.reference`"


def test_the_manual_page_is_current(request):
    if request.config.getoption("--bless"):
        manual.PAGE.write_text(manual.manual(), encoding="utf-8", newline="\n")
    assert manual.PAGE.read_text("utf-8") == manual.manual(), "run `python -m tests.support.reference`"


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_prose_fits_into_100_columns(page):
    text = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text("utf-8"))
    long = [
        f"{page.name}:{number}: {len(line)} columns"
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > COLUMNS and not line.startswith(("|", "    ")) and "](http" not in line
    ]
    assert not long


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page):
    dead = []
    for target in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_files_that_it_names_exist(page):
    if page.name == "CHANGES.md":  # names what was, too
        return
    spans = [match[0].strip("`") for match in _SPAN.finditer(_FENCE.sub("", page.read_text("utf-8")))]
    named = {span for span in spans if _PATH.fullmatch(span)}
    assert not [name for name in sorted(named) if not (ROOT / name).exists()]
    files = {span for span in spans if re.fullmatch(r"[a-z][\w-]*\.(py|c|h|j2|lds)", span)}
    assert not [name for name in sorted(files) if name not in file_names()]


@cache
def file_names() -> frozenset[str]:
    """The names of all files of the project's own folders."""
    folders = ("tinyvmi_build", "minios_app", "templates", "toolchain", "tests")
    return frozenset(path.name for folder in folders for path in (ROOT / folder).rglob("*"))


@cache
def sources(folder: str) -> str:
    """All source files below `folder`, one after the other."""
    paths = sorted(path for pattern in _SOURCES for path in (ROOT / folder).rglob(pattern))
    return "\n".join(path.read_text("utf-8") for path in paths)


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_names_of_the_code_exist(page):
    if page.name == "CHANGES.md":
        return
    spans = {match[0] for match in _SPAN.finditer(_FENCE.sub("", by_hand(page.read_text("utf-8"))))}
    of_c = {name for span in spans for name in re.findall(r"\b(?:tv|TV)_[a-zA-Z_]\w+", span)}
    variables = {name for span in spans for name in re.findall(r"\bTINYVMI_[A-Z]+\b(?!__)", span)}
    assert not [name for name in sorted(of_c) if not re.search(rf"\b{name}\b", sources("minios_app"))]
    everywhere = sources("tinyvmi_build") + sources("tests")
    assert not [name for name in sorted(variables) if name not in everywhere]


def test_pages_that_the_code_cites_exist():
    cited = {}
    sections = set()
    for folder in ("tinyvmi_build", "minios_app", "templates", "toolchain", "tests", "."):
        depth = Path.glob if folder == "." else Path.rglob
        for pattern in (*_SOURCES, "Makefile"):
            for path in depth(ROOT / folder, pattern):
                text = path.read_text("utf-8")
                names = re.findall(r"(?<![\w/-])docs/[\w/-]+\.(?:md|svg)", text)
                names += [f"docs/{name}" for name in re.findall(r'\bdoc\("([^"]+)"\)', text)]
                for name in names:
                    cited[name] = path.relative_to(ROOT)
                sections |= set(re.findall(r'(docs/[\w/-]+\.md), "([^"]+)"', text))
    assert cited
    assert {name: path for name, path in cited.items() if not (ROOT / name).exists()} == {}
    assert sections
    assert {
        (n, head) for n, head in sections if head.lower().replace(" ", "-") not in anchors(ROOT / n)
    } == set()


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_words_are_those_of_the_field(page):
    lines = prose(page.read_text("utf-8")).splitlines()
    found = [
        f"{page.name}:{number}: {match[0]}"
        for number, line in enumerate(lines, 1)
        for match in (*_PRIVATE.finditer(line), *_AMERICAN.finditer(line))
    ]
    assert not found


@cache
def options_of(*words: str) -> frozenset[str] | None:
    """The options of a verb; None if there is no such verb."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            return None
        found = command.get_command(click.Context(command), word)
        if found is None:
            return None
        command = found
    return frozenset(option for p in command.params for option in (*p.opts, *p.secondary_opts))


def misused(line: str) -> str | None:
    """What is wrong with the command `line`; None if nothing is, or it is another program's."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    if not words or Path(words[0]).name != "tinyvmi-build" or not words[1:]:
        return None
    verbs = []
    options: frozenset[str] | None = options_of()
    for word in words[1:]:
        if word.startswith("-"):
            break
        deeper = options_of(*verbs, word)
        if deeper is None:
            break
        verbs.append(word)
        options = deeper
    if not verbs and not words[1].startswith("-") and words[1] not in ("VERB", "…"):
        return f"no verb {words[1]}"
    known = (options or frozenset()) | {"--help", "-h", "-q", "--quiet", "--version"}
    flags = [word.split("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)]
    return next((f"no option {flag} of {' '.join(verbs)}" for flag in flags if flag not in known), None)


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_commands_exist(page):
    if page.name == "CHANGES.md":
        return
    wrong = [(line, why) for line in commands_in(page.read_text("utf-8")) if (why := misused(line))]
    assert not wrong


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        match[1]
        for line in commands_in(page.read_text("utf-8"))
        if (match := re.fullmatch(r"(?:\w+=\S+ )*make ([a-z-]+)(?: .*)?", line))
    }
    assert named <= targets


@pytest.mark.parametrize("page", WRITTEN, ids=ids)
def test_configuration_examples_are_valid(page):
    keys = {key.dotted: key for key in model.KEYS.values()}
    for match in _FENCE.finditer(page.read_text("utf-8")):
        if match[1] != "toml":
            continue
        for name, value in flat(tomllib.loads(match[2])):
            assert name in keys, f"{name} is no key"
            keys[name].kind.parse(value, Path("/"))


def flat(tree: dict, above: str = "") -> Iterator[tuple[str, object]]:
    """The keys of a TOML document, dotted; a repository of Mini-OS is one value."""
    for name, value in tree.items():
        dotted = f"{above}{name}"
        if isinstance(value, dict) and dotted != "minios.tree":
            yield from flat(value, f"{dotted}.")
        else:
            yield dotted, value


def test_results_begin_as_their_experiments_write_them():
    from tests.experiments.matrix import table as matrix
    from tests.experiments.mutations import __main__ as mutations
    from tests.experiments.targets import rows
    from tests.experiments.targets import table as targets

    texts = {page.stem: page.read_text("utf-8") for page in RESULTS.glob("*.md")}
    for name, head in (("matrix", matrix), ("mutations", mutations), ("targets", targets)):
        assert texts[name].startswith(head._HEAD), name
    assert matrix._MADE in texts["matrix"]
    assert targets._CLEAN in texts["targets"]
    assert all(f"- {what}: {why}\n" in texts["targets"] for what, why in rows.NOT_RUN.items())


def test_every_check_has_its_page():
    pages = {page.stem for page in (ROOT / "docs" / "design" / "checks").glob("*.md")}
    assert pages == set(registry.names())


def test_every_page_is_linked():
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in _LINK.findall(page.read_text("utf-8"))
        if not re.match(r"[a-z]+:", target) and target.partition("#")[0]
    }
    pages = {page for page in PAGES if ROOT / "docs" in page.parents}
    assert not sorted(map(ids, pages - linked))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("tinyvmi-build launch build/web1 --scans 1", False),
        ("tinyvmi-build profile build a.deb -o a.profile", False),
        ("tinyvmi-build lauch build/web1", True),
        ("tinyvmi-build launch build/web1 --scan 1", True),
        (".venv/bin/tinyvmi-build doctor", False),
        ("xl create tinyvmi-web1.cfg", False),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(line, wrong):
    assert bool(misused(line)) is wrong
