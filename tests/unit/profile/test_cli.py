"""`tinyvmi-build profile`, through the command line's own entry."""

import json

import pytest

from tests.unit.kernel import writers
from tinyvmi_build.cli.main import run
from tinyvmi_build.errors import Exit


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "linux-image.deb"
    kernel = writers.bzimage(writers.payload(writers.vmlinux(), "lz4"))
    path.write_bytes(writers.deb({"./boot/vmlinuz-9.9.9-test": kernel}, "zst"))
    return path


@pytest.fixture
def built(package, tmp_path, capsys):
    path = tmp_path / "guest.profile"
    assert run(["profile", "build", str(package), "-o", str(path)]) == Exit.INTACT
    out, err = capsys.readouterr()
    assert out == f"{writers.BUILD_ID.hex()}  9.9.9-test\n"
    assert "profile of linux-image.deb" in err
    return path


def test_show(built, capsys):
    assert run(["profile", "show", str(built)]) == Exit.INTACT
    out, err = capsys.readouterr()
    assert err == ""
    for line in (
        "release      9.9.9-test",
        f"build-id     {writers.BUILD_ID.hex()}",
        "package      linux-image.deb (lz4)",
        "image        0xffffffff81000000, 1,114,112 bytes, at 0x1000000",
        "symbols      620",
        "relocations  4 (2 64-bit, 1 32-bit, 1 inverse 32-bit)",
        "BTF types    16",
    ):
        assert line in out.splitlines()
    assert "idt" in out and "unsupported: " in out


def test_show_json(built, capsys):
    assert run(["profile", "show", str(built), "--json"]) == Exit.INTACT
    document = json.loads(capsys.readouterr().out)
    (kernel,) = document["kernels"]
    assert document["version"] == 1
    assert kernel["text_va"] == "0xffffffff81000000"
    assert kernel["counts"]["symbols"] == 620
    assert {s["name"] for s in kernel["sections"]} >= {".text", ".rodata", ".BTF"}
    assert kernel["golden"]["identity"] == {"values": {}}


def test_symbol(built, capsys):
    assert run(["profile", "show", str(built), "--symbol", "twin"]) == Exit.INTACT
    assert capsys.readouterr().out.splitlines() == [
        "0xffffffff81000200 t twin  (9.9.9-test)",
        "0xffffffff81000280 t twin  (9.9.9-test)",
    ]
    assert run(["profile", "show", str(built), "--symbol", "0xffffffff81000105"]) == Exit.INTACT
    assert capsys.readouterr().out == "0xffffffff81000105 - sys_alpha+0x5  (9.9.9-test)\n"
    assert run(["profile", "show", str(built), "--symbol", "0xffffffff81000105", "--json"]) == Exit.INTACT
    assert json.loads(capsys.readouterr().out)["symbols"][0]["offset"] == 5


@pytest.mark.parametrize("wanted", ("nothing_such", "0x7000", "0xzz"))
def test_symbol_unknown(built, capsys, wanted):
    assert run(["profile", "show", str(built), "--symbol", wanted]) == Exit.USAGE
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    (
        (b"#!/bin/sh\n", "not a kernel"),
        (writers.vmlinux(with_kallsyms=False), "no kallsyms"),
        (writers.vmlinux(without=".BTF"), "no BTF"),
        (writers.vmlinux()[:9000], "truncated"),
        (writers.bzimage(writers.payload(writers.vmlinux(), "xz"))[:4000], "truncated"),
        (writers.deb({"./boot/vmlinuz-1": b"x"})[:200], "truncated"),
    ),
)
def test_bad_kernels(tmp_path, capsys, content, said):
    (tmp_path / "k").write_bytes(content)
    assert run(["-q", "profile", "build", str(tmp_path / "k"), "-o", str(tmp_path / "out")]) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    error, hint = err.splitlines()
    assert error.startswith("error: ") and hint.startswith("hint: ")
    assert not (tmp_path / "out").exists()


def test_show_something_else(tmp_path, capsys):
    (tmp_path / "f").write_bytes(b"hello")
    assert run(["profile", "show", str(tmp_path / "f")]) == Exit.USAGE
    assert "not a profile" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ("build", "show"))
def test_help_has_examples(capsys, verb):
    assert run(["profile", verb, "--help"]) == Exit.INTACT
    assert "Examples:" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["@usual", "@comon"])
def test_a_word_that_stands_for_no_modules(tmp_path, capsys, word):
    (tmp_path / "k").write_bytes(writers.vmlinux())
    words = ["profile", "build", str(tmp_path / "k"), "-o", str(tmp_path / "out"), "--include", word]
    assert run(words) == Exit.USAGE
    assert '"@common"' in capsys.readouterr().err
