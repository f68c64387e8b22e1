"""What a profile says, and that it says it under plain Python."""

import subprocess
import sys
from pathlib import Path

import pytest

import tinyvmi_build
from tests.unit.kernel import writers
from tests.unit.kernel.writers import RODATA, TEXT
from tinyvmi_build.checks import registry
from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.rodata.golden import RodataGolden
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.errors import UsageError
from tinyvmi_build.profile.profile import ProfileFile


@pytest.fixture
def path(tmp_path, profile, other) -> Path:
    ProfileFile([profile, other, profile]).save(tmp_path / "two.profile")
    return tmp_path / "two.profile"


def test_facts(path, image):
    loaded = ProfileFile.load(path).by_build_id(writers.BUILD_ID.hex())
    for name in ("build_id", "release", "banner", "compression", "text_va", "physical_start", "image_size"):
        assert getattr(loaded, name) == getattr(image, name)
    assert loaded.build_id_va == image.build_id_va
    assert loaded.source == "small.deb"
    assert loaded.counts == {
        "symbols": len(image.symbols), "relocs64": 2, "relocs32": 1, "inverse32": 1, "btf_types": 16,
    }  # fmt: skip
    assert loaded.section(".rodata").addr == RODATA
    assert loaded.section(".rodata").sha256 == image.elf.digest(image.section(".rodata"))
    assert loaded.section(".bss").sha256 is None
    with pytest.raises(UsageError, match="no section .none"):
        loaded.section(".none")


def test_several_kernels(path, profile, other):
    loaded = ProfileFile.load(path)
    assert [k.build_id for k in loaded.kernels] == sorted([profile.build_id, other.build_id])
    assert loaded.by_release("1.2.3").build_id == other.build_id
    with pytest.raises(UsageError, match=r"no kernel with build-id 00; it holds 1\.2\.3 .* 9\.9\.9-test"):
        loaded.by_build_id("00")
    with pytest.raises(UsageError, match="no kernel with release 2"):
        loaded.by_release("2")


def test_symbols(path, image):
    symbols = ProfileFile.load(path).by_release("9.9.9-test").symbols
    assert list(symbols) == list(image.symbols)
    assert symbols.lookup("sys_alpha") == TEXT + 0x100
    assert symbols.nearest(TEXT + 0x105) == ("sys_alpha", 5)


def test_golden_and_blobs(path, image):
    values = registry.compute(image)
    loaded = ProfileFile.load(path).by_release("9.9.9-test")
    assert {check.name: loaded.values(check.golden) for check in registry.checks()} == values
    assert loaded.golden(RodataGolden).content.data == image.read(RODATA, loaded.golden(RodataGolden).size)
    assert loaded.discovery.banner.strip() == image.banner
    with pytest.raises(UnsupportedError) as why:
        loaded.golden(TextGolden)
    assert str(why.value) == loaded.unsupported("text")
    assert loaded.blob("btf") == image.btf.data
    assert loaded.blob("relocs64") == b"".join(v.to_bytes(8, "little") for v in image.relocs64)
    assert set(loaded.blobs) >= {"btf", "relocs64", "relocs32", "inverse32"}
    with pytest.raises(UsageError, match="no blob/none"):
        loaded.blob("none")


def test_saved_again_it_is_the_same(path, tmp_path):
    ProfileFile.load(path).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_saved_over_itself(path):
    before = path.read_bytes()
    ProfileFile.load(path).save(path)
    assert path.read_bytes() == before


def test_empty(tmp_path):
    ProfileFile([]).save(tmp_path / "f")
    with pytest.raises(UsageError, match="holds no kernel"):
        ProfileFile.load(tmp_path / "f")


def test_read_under_plain_python(path):
    """A dom0 has Python's standard library and nothing more."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "sys.modules['lzma'] = sys.modules['_lzma'] = None\n"  # the lab's dom0 has none
        "from pathlib import Path\n"
        "import tinyvmi_build.checks.modules.evidence\n"
        "from tinyvmi_build.profile.profile import ProfileFile\n"
        "p = ProfileFile.load(Path(sys.argv[2])).by_release('9.9.9-test')\n"
        "print(p.symbols.nearest(0xffffffff81000105), p.checks[0])\n"
        "odd = {m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(odd - {'__main__', 'tinyvmi_build'}))\n"
    )
    root = str(Path(tinyvmi_build.__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, root, str(path)], capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["('sys_alpha', 5) function-pointers", "[]"]
