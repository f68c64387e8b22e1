"""The digests compiled for this machine, every variant that its processor has.

`python -m tests.core.digests` prints how fast each is.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tinyvmi_build.paths import data_dir
from tinyvmi_build.render.digest import digest_sources

#: What tv_vector_units() answers, and by how much the clock steps on at each reading (0: real).
_PLATFORM = """#include <time.h>
#include <tinyvmi/platform.h>
extern uint32_t units; uint32_t units;
extern uint64_t steps[64]; uint64_t steps[64];
uint32_t tv_vector_units(void) { return units; }
uint64_t tv_now_ns(void)
{
    static uint64_t now, readings;
    struct timespec t;

    if (steps[0])
        return now += steps[readings++ % 64];
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
"""
_FLAGS = [
    *("-std=gnu11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror"),
    *("-Wmissing-prototypes", "-Wstrict-prototypes", "-Wvla", "-Wframe-larger-than=3072"),
]
#: As minios_app/meson.build has them; a test there sees that it does.
VECTOR_FLAGS = {"_sse41": ["-msse4.1"], "_avx2": ["-mavx2"], "_sha_ni": ["-msse4.1", "-msha"]}
_NEEDS = {"portable": set[str](), "sse41": {"sse4_1"}, "avx2": {"avx2"}, "sha_ni": {"sse4_1", "sha_ni"}}
#: Algorithm → its variants, the portable one first.
VARIANTS = {"sha256": ("portable", "sha_ni"), "blake3": ("portable", "sse41", "avx2")}
#: What the processor has: bits of enum tv_vector_unit.
UNITS = {"sse41": 1, "avx2": 2, "sha_ni": 4}


@cache
def _processor() -> frozenset[str]:
    found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def missing(variant: str) -> str:
    """What this processor lacks for `variant`; "" if nothing."""
    return ", ".join(sorted(_NEEDS[variant] - _processor()))


def sources(algorithm: str, vectors: bool = True) -> dict[str, str]:
    """File name → text of the C files of an image's digest, and of the headers beside them."""
    core = data_dir("minios_app")
    paths = [core / name for name in digest_sources(algorithm, vectors)]
    return {path.name: path.read_text() for path in [*paths, *(core / "digest").glob("*.h")]}


def compiled(folder: Path, files: dict[str, str], compiler: str = "gcc") -> ctypes.CDLL:
    """A library of `files`, each compiled as in an image, over a platform whose answers tests can set."""
    objects = []
    files = {**files, "platform.c": _PLATFORM}
    for name, text in files.items():
        (folder / name).write_text(text)
    for name in (name for name in files if name.endswith(".c")):
        vectors = next(
            (f for end, f in VECTOR_FLAGS.items() if name.endswith(f"{end}.c")), ["-mgeneral-regs-only"]
        )
        include = f"-I{data_dir('minios_app') / 'include'}"
        objects.append(str(folder / f"{name}.o"))
        subprocess.run(
            [compiler, *_FLAGS, *vectors, include, "-c", str(folder / name), "-o", objects[-1]], check=True
        )
    subprocess.run([compiler, "-shared", *objects, "-o", str(folder / "digest.so")], check=True)
    library = ctypes.CDLL(str(folder / "digest.so"))
    library.tv_digest_name.restype = ctypes.c_char_p
    library.tv_digest_init.restype = ctypes.c_bool
    return library


def function(library: ctypes.CDLL, algorithm: str, variant: str) -> Callable[[bytes], bytes]:
    """The digest of bytes by one variant, with the data at an address that is not aligned."""
    code = ctypes.cast(getattr(library, f"tv_{algorithm}_{variant}"), ctypes.c_void_p)
    call = getattr(library, f"tv_{algorithm}")

    def digest_of(data: bytes) -> bytes:
        out = ctypes.create_string_buffer(32)
        room = ctypes.create_string_buffer(len(data) + 65)
        at = ctypes.addressof(room) // 64 * 64 + 65
        ctypes.memmove(at, data, len(data))
        call(code, ctypes.c_void_p(at), ctypes.c_size_t(len(data)), out)
        return out.raw

    return digest_of


def of_pages(library: ctypes.CDLL, algorithm: str, variant: str, pages: list[bytes]) -> list[bytes]:
    """The digests of several pages at once, each at an address that is not aligned."""
    buffers = [ctypes.create_string_buffer(b"x" + page, 4097) for page in pages]
    addresses = (ctypes.c_void_p * len(pages))(*(ctypes.addressof(buffer) + 1 for buffer in buffers))
    out = ctypes.create_string_buffer(32 * len(pages))
    code = ctypes.cast(getattr(library, f"tv_{algorithm}_{variant}"), ctypes.c_void_p)
    getattr(library, f"tv_{algorithm}_pages")(code, addresses, ctypes.c_uint32(len(pages)), out)
    return [out.raw[at : at + 32] for at in range(0, len(out), 32)]


def _speeds() -> None:
    """The median of many passes over 16 MiB, the variants in turn."""
    bench = data_dir("minios_app").parent / "tests" / "core" / "digest_speed.c"
    rows: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for compiler in ("gcc", "clang"):
            objects: list[str] = []
            for algorithm in VARIANTS:
                place = folder / compiler / algorithm
                place.mkdir(parents=True)
                compiled(place, sources(algorithm), compiler)
                objects += [str(p) for p in place.glob(f"{algorithm}*.o")]
            program = folder / f"speed-{compiler}"
            include = [f"-I{data_dir('minios_app') / name}" for name in ("include", "digest")]
            subprocess.run([compiler, "-O2", *include, str(bench), *objects, "-o", str(program)], check=True)
            able = [f"{a}_{v}" for a, variants in VARIANTS.items() for v in variants if not missing(v)]
            able += [f"{name}_one_by_one" for name in able if name == "blake3_avx2"]
            done = subprocess.run([str(program), *able], check=True, capture_output=True, text=True)
            for line in done.stdout.splitlines():
                name, rate = line.split()
                rows.append((f"{name} ({compiler})", float(rate)))
    slowest = rows[0][1]
    for name, rate in rows:
        print(f"{name:<28} {rate:6.2f} GB/s {4.096 / rate:7.2f} µs/page {rate / slowest:6.2f}")


if __name__ == "__main__":
    sys.exit(_speeds())
