"""Private words do not come back: what an identifier is called is what the field calls it.

docs/glossary.md has the words.  LEFT says how often one of the old words is still part of an
identifier; a count only goes down.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.test_style import ROOT, files

#: Old words, and how many identifiers still have them.
LEFT = {
    "choices": 7,
    "extras": 1,
}
WORDS = (
    *(
        "books",
        "buried",
        "bury",
        "choices",
        "doubt",
        "doubts",
        "exhume",
        "extras",
        "grave",
        "judge",
        "judged",
    ),
    *("kept", "lifted", "play"),
    *("look", "looks", "owed", "patience", "places_again", "praise", "rhythm", "slices", "standing", "stray"),
    *("strays", "teller", "told", "workshop"),
)
_COMMENT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"', re.DOTALL)
_ANY = re.compile("|".join(WORDS), re.IGNORECASE)  # saves reading most files token by token
_NOT_OURS = ("tests/support/expected/", "tests/unit/test_words.py", "tests/unit/test_docs.py")


def identifiers(path: Path) -> list[str]:
    """The names in a file of Python or C, as often as they stand there."""
    text = path.read_text()
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        return [token.string for token in tokens if token.type == tokenize.NAME]
    return re.findall(r"[A-Za-z_]\w*", _COMMENT.sub(" ", text))


def words_of(name: str) -> set[str]:
    """`tv_KeptPage` → {"tv", "kept", "page"}, and the name itself."""
    return {name, *re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().split("_")}


def found() -> Counter[str]:
    count: Counter[str] = Counter()
    for path in files("*.py", "*.c", "*.h"):
        if not path.startswith(_NOT_OURS) and _ANY.search((ROOT / path).read_text()):
            for name in identifiers(ROOT / path):
                count.update(words_of(name) & set(WORDS))
    return count


def test_no_private_word_comes_back() -> None:
    more = {word: n for word, n in found().items() if n > LEFT.get(word, 0)}
    assert not more, f"more than LEFT allows: {more}"


@pytest.mark.parametrize("suffix, text", [(".py", "def kept_page(): pass"), (".c", "int TV_KEPT_MAX;")])
def test_an_old_word_is_found(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text(text)
    assert any("kept" in words_of(name) for name in identifiers(path))


def test_comments_and_texts_are_no_identifiers(tmp_path: Path) -> None:
    path = tmp_path / "x.c"
    path.write_text('/* kept */ const char *a = "kept \\" kept";')
    assert not any("kept" in words_of(name) for name in identifiers(path))
