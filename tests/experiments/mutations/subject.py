"""The saved kernels that the mutation campaign changes."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from tests.dump.circumstances import named
from tests.dump.conftest import Checked, run_checker
from tests.dump.module_subject import LOADED, loadable
from tests.dump.test_text_changes import Target
from tests.dump.text_subject import boot_of, opened
from tests.experiments.matrix.cell import Kernel
from tinyvmi_build.checks.text.golden import TextGolden
from tinyvmi_build.checks.text.patch_sites import PatchSites
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.lab.machine.direct import DumpOptions, raw_dump
from tinyvmi_build.progress import Progress

#: What any processor can run of LOADED.
MODULES = tuple(name for name in LOADED if name not in ("aesni_intel", "crc32c_intel"))


class Subject:
    """A kernel with all checks, as `Target` takes it."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.profile = kernel.profile
        self.places = PatchSites(kernel.profile.golden(TextGolden))

    @cached_property
    def image(self) -> KernelImage:
        return self.kernel.image

    def check(self, dump: Path) -> Checked:
        return run_checker(self.kernel.checker, dump)


@contextmanager
def target(metapackage: str, suite: str, circumstance: str) -> Iterator[Target]:
    kernel = Kernel(metapackage, suite, Progress(quiet=True))
    subject = Subject(kernel)
    boot = boot_of(named(circumstance), lambda: kernel.image)
    boot |= {"modules": loadable(kernel.package, MODULES), "seconds": 300}
    dump = raw_dump(kernel.package, DumpOptions(2 * kernel.memory_mib, **boot))
    with tempfile.TemporaryDirectory(prefix="tinyvmi-mutations.") as folder:
        copy = Path(folder) / "copy.raw"
        shutil.copyfile(dump, copy)
        with opened(copy, subject, mmap.ACCESS_WRITE) as memory:
            yield Target(subject, copy, memory)
