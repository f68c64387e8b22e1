"""What is rendered means to a compiler what it meant to the renderer."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvmi_build.config.model import Config
from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.filters import c_comment, c_str
from tinyvmi_build.render.plan import identity_items, rendered


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_c_compiles_without_a_warning(tmp_path, compiler):
    files = rendered(identity_items(Config(), ["ab" * 20], {"compiler": "gcc 12", "linker": "GNU ld 2.40"}))
    for name in ("config.c", "note.c"):
        (tmp_path / name).write_text(files[f"generated/{name}"])
        include = data_dir("minios_app") / "include"
        flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{include}"]
        subprocess.run([compiler, *flags, "-c", tmp_path / name, "-o", tmp_path / "o"], check=True)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
@settings(max_examples=10)
def test_c_strings_mean_their_bytes(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("c")
    rows = "".join(f"    {{ sizeof({c_str(v)}), {c_str(v)} }}, /* {c_comment(repr(v))} */\n" for v in values)
    (folder / "t.c").write_text(
        "#include <stdio.h>\nstatic const struct { size_t n; const char *s; } t[] = {\n" + rows + "};\n"
        "int main(void) {\n    for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)\n"
        "        fwrite(t[i].s, t[i].n, 1, stdout);\n}\n"
    )
    command = ["gcc", "-trigraphs", "-Wall", "-Wextra", "-Werror", "-o", folder / "t", folder / "t.c"]
    subprocess.run(command, check=True)
    assert subprocess.run([folder / "t"], check=True, capture_output=True).stdout == b"".join(
        v + b"\0" for v in values
    )
