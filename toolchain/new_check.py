"""Write the files of a new check: python3 toolchain/new_check.py NAME (or `make new-check NAME=NAME`).

NAME is as records and the configuration have it: lower-case words with dashes.  What is written works: it
compares sixteen bytes of a constant with the package's, has a tamper and a unit test.  No other file needs
a change: the registry discovers the check.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_CHECK = '''"""@NAME@: the check's declaration."""

from __future__ import annotations

from tinyvmi_build.checks.@IDENT@ import golden, tamper
from tinyvmi_build.checks.@IDENT@.golden import @CLASS@Golden
from tinyvmi_build.checks.@IDENT@.table import table
from tinyvmi_build.checks.check import NOBODY_AFTER_BOOT, Check, FindingKind

CHECK = Check(
    name="@NAME@",
    summary="TODO: what it compares, in one line.",
    golden=@CLASS@Golden,
    compute=golden.compute,
    table=table,
    kinds=(FindingKind("@NAME@", "TODO: what such a finding means", NOBODY_AFTER_BOOT),),
    changes=tuple(tamper.CHANGES),
)
'''

_GOLDEN = '''"""@NAME@: TODO: what it compares, and which kernel file says that it stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tinyvmi_build.checks.lib.unsupported import require
from tinyvmi_build.profile.golden import GoldenValues

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

SYMBOL = "linux_proc_banner"  # init/version.c, a constant
SIZE = 16


@dataclass(frozen=True)
class @CLASS@Golden(GoldenValues):
    """The symbol, its link address, and the bytes that must stand there."""

    CHECK: ClassVar[str] = "@NAME@"

    symbol: str
    va: int
    content: bytes


def compute(image: KernelImage) -> @CLASS@Golden:
    """Of a kernel that has the symbol; UnsupportedError if it has none."""
    va = require(image, SYMBOL)
    return @CLASS@Golden(SYMBOL, va, image.read(va, SIZE))
'''

_TABLE = '''"""@NAME@: the values of its C table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tinyvmi_build.checks.@IDENT@.golden import @CLASS@Golden

if TYPE_CHECKING:
    from tinyvmi_build.config.model import Config
    from tinyvmi_build.profile.profile import KernelProfile


def table(golden: @CLASS@Golden, kernel: KernelProfile, config: Config) -> Mapping[str, object]:
    """What table.c.j2 takes."""
    return {"golden": golden}
'''

_TEMPLATE = """@{ provenance }@
/* @NAME@: the bytes that must stand at a symbol. */
#include <checks/@IDENT@.h>

static const struct tv_@IDENT@ table = {
    .symbol = @{ golden.symbol | c_str }@,
    .va = @{ golden.va | c_hex(16) }@,
    .content = { @{ golden.content | c_bytes }@ },
};

const struct tv_golden @IDENT@_@{ index }@ = { .table = &table };
"""

_TAMPER = '''"""Changes for the `@NAME@` check."""

from __future__ import annotations

from tinyvmi_build.checks.@IDENT@.golden import @CLASS@Golden
from tinyvmi_build.checks.tamper import Change, Guest


def _bit(guest: Guest) -> list[tuple[int, bytes]]:
    va = guest.profile.golden(@CLASS@Golden).va
    return [(va, bytes([guest.read(va, 1)[0] ^ 0x01]))]


CHANGES = [Change("@NAME@-bit", "@NAME@", "one bit of the first byte", _bit)]
'''

_HEADER = """/* SPDX-License-Identifier: MIT */
/*
 * @NAME@: golden values.
 */
#ifndef CHECKS_@UPPER@_H
#define CHECKS_@UPPER@_H

#include <tinyvmi/golden.h>

struct tv_@IDENT@ {
    const char *symbol;
    uint64_t va;
    uint8_t content[16];
};

TV_GOLDEN(tv_@IDENT@_golden, struct tv_@IDENT@, TV_CHECK_@UPPER@)

#endif
"""

_CODE = """/* SPDX-License-Identifier: MIT */
/*
 * @NAME@: TODO: what it compares, and which kernel file says that it stays as it is.
 */
#include <tinyvmi/check.h>

#include "@IDENT@.h"

struct @IDENT@_check {
    struct tv_range range;
};

static int init(void *context, struct tv_kernel *k)
{
    struct @IDENT@_check *c = context;
    const struct tv_@IDENT@ *g = tv_@IDENT@_golden(k);

    return g ? tv_range_init(k, &c->range, g->va, sizeof(g->content)) : 0;
}

static void deinit(void *context, struct tv_kernel *k)
{
    struct @IDENT@_check *c = context;

    if (tv_@IDENT@_golden(k))
        tv_range_deinit(k, &c->range);
}

static void compare(struct tv_kernel *k, const struct tv_@IDENT@ *g, const struct tv_range *r,
                    struct tv_result *res)
{
    uint64_t va = g->va + k->delta;
    uint8_t actual[sizeof(g->content)]; /* the guest's: hostile */

    if (!guest_range_read(r, va, actual, sizeof(actual))) {
        res->missing++;
        return;
    }
    res->items++;
    if (memcmp(actual, g->content, sizeof(actual)) != 0)
        tv_report_finding(res, &(struct tv_finding_args){ .kind = TV_KIND_@UPPER@,
                                                          .symbol = g->symbol,
                                                          .address = va,
                                                          .expected = g->content,
                                                          .expected_size = sizeof(g->content),
                                                          .actual = actual,
                                                          .actual_size = sizeof(actual) });
}

static enum tv_step step(void *context, struct tv_kernel *k, const struct tv_budget *budget,
                         struct tv_result *res)
{
    struct @IDENT@_check *c = context;
    const struct tv_@IDENT@ *g = tv_@IDENT@_golden(k);

    (void)budget; /* it is done in one step */
    if (g) {
        tv_range_refresh(k, &c->range);
        compare(k, g, &c->range, res);
    }
    tv_result_finalize(res, tv_golden_reason(k, TV_CHECK_@UPPER@));
    return TV_STEP_DONE;
}

const struct tv_check tv_check_@IDENT@ = {
    .name = "@NAME@",
    .id = TV_CHECK_@UPPER@,
    .context_size = sizeof(struct @IDENT@_check),
    .init = init,
    .deinit = deinit,
    .step = step,
};
"""

_TEST = '''"""The golden values of `@NAME@`."""

from __future__ import annotations

import pytest

from tests.unit.checks.fake import TEXT, FakeImage, FakeSymbols
from tinyvmi_build.checks import registry
from tinyvmi_build.checks.@IDENT@ import golden as @IDENT@
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.profile.encoding import pack, unpack

VA = TEXT + 0x1000
BYTES = bytes(range(@IDENT@.SIZE))


def image(**symbols: int) -> FakeImage:
    return FakeImage(FakeSymbols(symbols), {VA: BYTES})


def test_the_packages_bytes_are_golden() -> None:
    golden = @IDENT@.compute(image(**{@IDENT@.SYMBOL: VA}))  # type: ignore[arg-type]
    assert (golden.va, golden.content) == (VA, BYTES)
    assert unpack(type(golden), pack(golden)) == golden


def test_a_kernel_without_the_symbol_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match=@IDENT@.SYMBOL):
        @IDENT@.compute(image())  # type: ignore[arg-type]


def test_the_registry_finds_it() -> None:
    check = registry.find("@NAME@")
    assert check is not None and [change.caught_by for change in check.changes] == ["@NAME@"]
'''

_PAGE = """# The `@NAME@` check

TODO: what the check compares, why it can be known from the package, and what it does not see.
"""

_NEXT = """\
next: replace what is marked TODO, and write the generated texts anew:
  .venv/bin/pytest --bless tests/unit/config tests/unit/render
  .venv/bin/python -m tests.support.reference"""

FILES = {
    "tinyvmi_build/checks/@IDENT@/__init__.py": "",
    "tinyvmi_build/checks/@IDENT@/check.py": _CHECK,
    "tinyvmi_build/checks/@IDENT@/golden.py": _GOLDEN,
    "tinyvmi_build/checks/@IDENT@/table.py": _TABLE,
    "tinyvmi_build/checks/@IDENT@/table.c.j2": _TEMPLATE,
    "tinyvmi_build/checks/@IDENT@/tamper.py": _TAMPER,
    "minios_app/checks/@IDENT@.h": _HEADER,
    "minios_app/checks/@IDENT@.c": _CODE,
    "tests/unit/checks/test_@IDENT@.py": _TEST,
    "docs/design/checks/@NAME@.md": _PAGE,
}


def files(name: str) -> dict[str, str]:
    """Path below the repository → text of each file of the check `name`; ValueError if that is no name."""
    if not _NAME.fullmatch(name) or len(name) > 30:
        raise ValueError(f"'{name}' is no name of a check: lower-case words with dashes, at most 30 letters")
    identifier = name.replace("-", "_")
    words = {
        "@NAME@": name,
        "@IDENT@": identifier,
        "@UPPER@": identifier.upper(),
        "@CLASS@": "".join(word.capitalize() for word in name.split("-")),
    }

    def filled(text: str) -> str:
        for word, value in words.items():
            text = text.replace(word, value)
        return text

    return {filled(path): filled(text) for path, text in FILES.items()}


def main(arguments: list[str]) -> int:
    """Write the files; 2 if that cannot be done."""
    if len(arguments) != 1:
        print("usage: make new-check NAME=some-check", file=sys.stderr)
        return 2
    try:
        made = files(arguments[0])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    there = [path for path in made if (ROOT / path).exists()]
    if there:
        print(f"error: {there[0]} exists", file=sys.stderr)
        return 2
    for path, text in made.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
        print(path)
    print(_NEXT, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
