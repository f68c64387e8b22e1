"""Filters against a real compiler: what goes in as bytes comes out of gcc as the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvmi_build.render.filters import c_bytes, c_comment, c_hex, c_ident, c_list, xl_str


def test_c_bytes_and_lists_wrap():
    assert c_bytes(bytes(range(18)), 2).endswith("0x0f,\n  0x10, 0x11")
    assert c_list([1, 2, 3], 4, per_line=2) == "0x0001U, 0x0002U,\n    0x0003U"
    assert c_bytes(b"") == ""


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (10, 2, "0x0aU"),
        (1, 4, "0x0001U"),
        (2**32 - 1, 8, "0xffffffffU"),
        (2**64 - 1, 16, "0xffffffffffffffffULL"),
    ],
)
def test_c_hex(value, width, text):
    assert c_hex(value, width) == text


@pytest.mark.parametrize(
    ("value", "width"), [(-1, 8), (256, 2), (2**64, 16), (0, 17), ("1", 8), (True, 8), (1.0, 8)]
)
def test_c_hex_refuses(value, width):
    with pytest.raises(ValueError, match="c_hex"):
        c_hex(value, width)


def test_c_ident():
    assert c_ident("syscall-table") == "syscall_table"
    for bad in ("", "1x", "a b", "int", "typeof", "__x", "_X", "a;b", "ä", None):
        with pytest.raises(ValueError, match="c_ident"):
            c_ident(bad)


@given(st.text())
def test_c_comment_cannot_end_or_break_a_comment(text):
    shown = c_comment(text + "*/ /* \n")
    assert "*/" not in shown
    assert "/*" not in shown
    assert "\n" not in shown


def _xl_value(text: str) -> str:
    """What Xen's libxlu makes of a double-quoted string (tools/libs/util/libxlu_cfg.c, xlu__cfgl_dequote)."""
    assert text[0] == text[-1] == '"'
    out, i = bytearray(), 1
    while i < len(text) - 1:
        assert text[i] not in '"\n'
        if text[i] != "\\":
            out += text[i].encode()
            i += 1
        elif text[i + 1] == "x":
            out.append(int(text[i + 2 : i + 4], 16))
            i += 4
        else:
            assert text[i + 1] in '"\\'
            out += text[i + 1].encode()
            i += 2
    return out.decode()


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_xl_strings_mean_their_text(text):
    assert _xl_value(xl_str(text)) == text


def test_xl_strings_hold_no_nul():
    with pytest.raises(ValueError, match="NUL"):
        xl_str("a\0b")
