"""The tables of those modules that are wanted and of what they depend on, computed by several processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tinyvmi_build.checks.lib.unsupported import UnsupportedError
from tinyvmi_build.checks.module_reader import Cache
from tinyvmi_build.checks.modules.golden import rules
from tinyvmi_build.checks.modules.layout import Rules
from tinyvmi_build.checks.modules.link import Module, Names
from tinyvmi_build.checks.modules.tables import make
from tinyvmi_build.checks.text.facts import Facts, pv_pointers
from tinyvmi_build.checks.text.series import Series, series_of
from tinyvmi_build.checks.text.sites import read_sites
from tinyvmi_build.errors import UsageError
from tinyvmi_build.kernel.ko import KoFile, unpacked
from tinyvmi_build.processes import begin_child

if TYPE_CHECKING:
    from tinyvmi_build.kernel.image import KernelImage

_WORKERS = 2


@dataclass
class Collected:
    """Packed tables by module, and why others have none."""

    tables: dict[str, bytes] = field(default_factory=dict)
    unsupported: dict[str, str] = field(default_factory=dict)


class Loader:
    """Modules by name, each read and linked at most once."""

    def __init__(self, image: KernelImage, files: Mapping[str, bytes]):
        self.files = files
        self.image = image
        self.series: Series = series_of(image)
        self.rules: Rules = rules(image, self.series)
        self.names = Names(image)
        self._kos: dict[str, KoFile] = {}
        self._modules: dict[str, Module] = {}

    def ko(self, name: str) -> KoFile:
        if name not in self._kos:
            if name not in self.files:
                raise UnsupportedError(f"{name}, which it depends on, is not among the modules given")
            ko = KoFile(unpacked(self.files[name], name), name)
            if ko.release != self.image.release:
                raise UnsupportedError(f"{name} is for Linux {ko.release or 'of no name'}")
            self._kos[name] = ko
        return self._kos[name]

    def closure(self, names: Iterable[str]) -> list[str]:
        """`names` and all that they depend on, sorted."""
        found: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name in found:
                continue
            found.add(name)
            try:
                queue += self.ko(name).depends
            except (UnsupportedError, UsageError):
                continue  # whoever computes it says why
        return sorted(found)

    def module(self, name: str, above: tuple[str, ...] = ()) -> Module:
        if name in above:
            raise UnsupportedError(f"{name} depends on itself")
        if name not in self._modules:
            ko = self.ko(name)
            needs = [self.module(other, (*above, name)) for other in ko.depends]
            self._modules[name] = Module(ko, self.rules, needs, self.names)
        return self._modules[name]

    def key(self, name: str) -> str:
        """A hash of all that the module's tables depend on, but for the kernel."""
        own = hashlib.sha256(self.files.get(name, b"")).hexdigest()
        return " ".join([own, *(self.key_of_file(other) for other in self.ko(name).depends)])

    def key_of_file(self, name: str) -> str:
        return hashlib.sha256(self.files.get(name, b"")).hexdigest()


class Collection:
    """The computation of `names`, under way; `result()` waits for it.

    If a process is killed, `result` raises RuntimeError.
    """

    def __init__(self, image: KernelImage, files: Mapping[str, bytes], names: list[str], cache: Cache):
        loader = Loader(image, files)
        self._names = loader.closure(names)
        self._futures: dict[str, Future[tuple[bytes, str]]] = {}
        facts = Facts(image, loader.series)
        pointers = pv_pointers(facts, read_sites(image, loader.series))
        work = partial(_compute, loader, pointers, cache)
        # The large ones first, so that none of them is alone at the end.
        order = sorted(self._names, key=lambda name: -len(files.get(name, b"")))
        self._pool, begin = _pool(work)
        for name in order:
            self._futures[name] = self._pool.submit(begin, name)

    def cancel(self) -> None:
        """Begin no further module; those under way are finished, which takes a second or two."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def result(self) -> Collected:
        found = Collected()
        for name in self._names:
            tables, why = self._futures[name].result()
            if why:
                found.unsupported[name] = why
            else:
                found.tables[name] = tables
        self._pool.shutdown()
        return found


Work = Callable[[str], tuple[bytes, str]]


def _pool(work: Work) -> tuple[Executor, Work]:
    """Several processes, and what to submit to them.

    One thread where there is no usable /dev/shm, in which they would share locks.
    """
    try:
        # Forked, so that the kernel and the files need not be sent.
        pool = ProcessPoolExecutor(
            min(_WORKERS, os.cpu_count() or 1),
            mp_context=multiprocessing.get_context("fork"),
            initializer=_Worker.begin,
            initargs=(work,),
        )
    except OSError:
        return ThreadPoolExecutor(1), work
    return pool, _Worker.run


class _Worker:
    """What a process of the pool has inherited: it is set there alone, before the first task."""

    work: Work

    @classmethod
    def begin(cls, work: Work) -> None:
        begin_child()
        cls.work = work

    @classmethod
    def run(cls, name: str) -> tuple[bytes, str]:
        return cls.work(name)


def _compute(loader: Loader, pointers: list[int], cache: Cache, name: str) -> tuple[bytes, str]:
    try:
        key = loader.key(name)
        return cache(key, lambda: make(loader.module(name), loader.series, pointers).packed()), ""
    except UnsupportedError as why:
        return b"", str(why)
    except UsageError as error:
        return b"", error.message
