"""An independent prediction of every byte of a running kernel's .text: the `text` check is tried against it.

It runs the kernel's patchers over the whole file with the state found in a
memory image, and then puts in what changes at run time.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyvmi_build.checks.lib.insn import Insn
from tinyvmi_build.checks.text.facts import Facts, Memory, PatchingState, pv_pointers
from tinyvmi_build.checks.text.patch import CALL, JMP8, JMP32, Patcher, branch
from tinyvmi_build.checks.text.series import CALL_DEPTH, K8_NOP5_ATOMIC, NOPS, RETHUNK, series_of
from tinyvmi_build.checks.text.sites import read_sites
from tinyvmi_build.kernel.image import KernelImage
from tinyvmi_build.kernel.relocs import RelocKind

Read = Callable[[int, int], bytes]  # link address, size → bytes of the running kernel

_WIDTH = {RelocKind.R64: (8, 1), RelocKind.R32: (4, 1), RelocKind.INVERSE32: (4, -1)}

_LIST_FUNCS = ("ftrace_ops_list_func", "arch_ftrace_ops_list_func", "ftrace_ops_assist_func")


class _Observing(Patcher):
    """ITS has a thunk for each place, in memory that the kernel takes at boot: where it leads is read."""

    def __init__(self, facts: Facts, memory: Memory, state: PatchingState, read: Read):
        super().__init__(facts, memory, state)
        self._actual = read

    def retpoline(self, va: int, code: bytes, insn: Insn, register: int) -> bytes | None:
        actual = self._actual(va, insn.length)
        displacement = int.from_bytes(actual[insn.imm_at : insn.imm_at + 4], "little", signed=True)
        thunk = va + insn.length + displacement
        facts = self.facts
        # its_allocate_thunk(): outside of the code, its last byte in the upper half of a line.
        if not facts.text <= thunk < facts.etext and thunk + 2 + register // 8 & 0x20:
            self.state.its_thunks[register] = thunk
        else:
            self.state.its_thunks[register] = 0
        return super().retpoline(va, code, insn, register)


class Oracle:
    """`predict()` gives .text as it must be."""

    def __init__(self, image: KernelImage, read: Read, delta: int):
        self.image = image
        self.read = read
        self.delta = delta
        self.series = series_of(image)
        self.facts = Facts(image, self.series)
        self.sites = read_sites(image, self.series)
        self.state = self._state()

    def _u64(self, va: int) -> int:
        return int.from_bytes(self.read(va, 8), "little")

    def _link(self, pointer: int) -> int:
        return pointer - self.delta if pointer else 0

    def _state(self) -> PatchingState:
        image = self.image
        at = image.symbols.lookup("boot_cpu_data") + image.btf.offset("struct cpuinfo_x86", "x86_capability")
        bits = int.from_bytes(self.read(at, 4 * self.series.capability_words), "little")
        features = frozenset(n for n in range(32 * self.series.capability_words) if bits >> n & 1)
        thunk = self._link(self._u64(image.symbols.lookup("x86_return_thunk")))
        pv = {at: self._link(self._u64(at)) for at in pv_pointers(self.facts, self.sites)}
        state = PatchingState(features, thunk, thunk == self.facts.its_return_thunk, pv=pv)
        if self.series.k8_nops:
            nops = self._link(self._u64(image.symbols.lookup("ideal_nops")))
            state.k8_nops = nops == image.symbols.lookup("k8_nops")
        if self.series.native_patch:
            at = self.facts.pv_ops + image.btf.offset("struct paravirt_patch_template", "init.patch")
            default = image.symbols.lookup("paravirt_patch_default")
            state.default_paravirt = self._link(self._u64(at)) == default
        state.uniprocessor = self.read(image.symbols.lookup("uniproc_patched"), 1) != b"\0"
        return state

    def predict(self) -> bytes:
        memory = self._relocated()
        patcher = _Observing(self.facts, memory, self.state, self.read)
        start = min(a.repl for a in self.sites.alternatives)
        end = max(a.repl + a.repl_size for a in self.sites.alternatives)
        reach = lambda va: self.facts.text <= va < self.facts.etext or start <= va < end  # noqa: E731
        self.sites.retpolines = [va for va in self.sites.retpolines if reach(va)]
        self.sites.returns = [va for va in self.sites.returns if reach(va)]
        patcher.run(self.sites)
        self._mcount(memory)
        self._jumps(memory)
        self._static_calls(memory, patcher)
        self._runtime(memory)
        self._pads(memory, patcher)
        return memory.read(self.facts.text, self.facts.etext - self.facts.text)

    def _relocated(self) -> Memory:
        start = self.facts.text
        end = max(a.repl + a.repl_size for a in self.sites.alternatives) + 16
        memory = Memory.of(self.image, start, end)
        for va, kind in self.image.relocs_in(start, end - 8):
            width, sign = _WIDTH[kind]
            value = int.from_bytes(memory.read(va, width), "little") + sign * self.delta
            memory.write(va, (value % (1 << 8 * width)).to_bytes(width, "little"))
        return memory

    @property
    def _nop5(self) -> bytes:
        return K8_NOP5_ATOMIC if self.state.k8_nops else NOPS[5]

    def _in_text(self, va: int) -> bool:
        return self.facts.text <= va < self.facts.etext

    def _mcount(self, memory: Memory) -> None:
        traced = self._ops()
        callers = {self.image.symbols.lookup(name) for name in ("ftrace_caller", "ftrace_regs_caller")}
        callers |= {trampoline for _, trampoline in traced}
        for va in self.sites.mcount:
            if self._in_text(va):
                memory.write(va, self._nop5)
                if traced:
                    self._one_of(memory, va, callers)
        functions = {function for function, _ in traced}
        functions |= {va for name in _LIST_FUNCS if (va := self.image.symbols.get(name)) is not None}
        if CALL_DEPTH in self.state.features and self.series.call_thunks:
            functions |= {va - self.facts.call_thunk[1] for va in functions}
        for name in ("ftrace_call", "ftrace_regs_call"):
            self._one_of(memory, self.image.symbols.lookup(name), functions)
        graph = self.image.symbols.get("ftrace_graph_call")  # before 6.13: switched with the graph tracer
        if graph is not None and traced:
            leads = {self.image.symbols.lookup(name) for name in ("ftrace_stub", "ftrace_graph_caller")}
            self._one_of(memory, graph, leads, JMP32)

    def _one_of(self, memory: Memory, va: int, targets: set[int], opcode: int = CALL) -> None:
        """Take the call that is there if it leads to one of `targets`."""
        actual = self.read(va, 5)
        if any(actual == branch(opcode, va, target) for target in targets):
            memory.write(va, actual)

    def _ops(self) -> list[tuple[int, int]]:
        """Function and trampoline of each registered ftrace_ops that lies in the kernel's image."""
        image, found = self.image, []
        end = image.symbols.lookup("ftrace_list_end")
        ops = self._link(self._u64(image.symbols.lookup("ftrace_ops_list")))
        while ops != end and self.facts.text <= ops < image.end_va:
            function, following, trampoline = (
                self._link(self._u64(ops + image.btf.offset("struct ftrace_ops", member)))
                for member in ("func", "next", "trampoline")
            )
            found.append((function, trampoline))
            ops = following
        return found

    def _jumps(self, memory: Memory) -> None:
        for jump in self.sites.jumps:
            if not self._in_text(jump.code):
                continue
            enabled = self.read(jump.key, 4) != bytes(4)
            if enabled != jump.branch:
                if jump.size == 2:
                    code = bytes([JMP8, jump.target - jump.code - 2 & 0xFF])
                else:
                    code = branch(JMP32, jump.code, jump.target)
            else:
                code = NOPS[2] if jump.size == 2 else self._nop5
            memory.write(jump.code, code)

    def _static_calls(self, memory: Memory, patcher: Patcher) -> None:
        for call in self.sites.static_calls:
            if self._in_text(call.site):
                function = self._link(self._u64(call.key))
                memory.write(call.site, self.static_call(memory, patcher, call.site, function, call.tail))
        for va, key in self.sites.trampolines:
            function = self._link(self._u64(key))
            memory.write(va, self.static_call(memory, patcher, va, function, True))

    def static_call(self, memory: Memory, patcher: Patcher, va: int, function: int, tail: bool) -> bytes:
        ret0 = self.image.symbols.get("__static_call_return0") if self.series.ret0 else None
        old = memory.read(va, 2)
        if tail and old[0] == 0x0F and old[1] & 0xF0 == 0x80:
            target = function or self.state.return_thunk
            if not function and RETHUNK not in self.state.features:
                target = self.image.symbols.lookup("__static_call_return")
            return b"\x0f" + branch(old[1], va + 1, target)
        if tail:
            if function:
                return branch(JMP32, va, function)
            # One that was emptied before the return thunks were chosen has kept its plain return.
            early = bytes.fromhex("c3cccccccc")
            return early if self.read(va, 5) == early else patcher.ret(va)
        if not function:
            return self._nop5
        if CALL_DEPTH in self.state.features and self.series.call_thunks:
            counted = function not in self.facts.skipped_calls and self._in_text(function)
            if counted and patcher.patch_pad(function):
                function -= self.facts.call_thunk[1]
        if function == ret0:
            return bytes.fromhex("2e2e2e31c0")
        if self.series.warn_trap and function == self.image.symbols.get("__WARN_trap"):
            return bytes.fromhex("67480fb93a")
        return branch(CALL, va, function)

    def _pads(self, memory: Memory, patcher: Patcher) -> None:
        """A function that was a static call's for some time keeps its accounting."""
        if CALL_DEPTH not in self.state.features or not self.series.call_thunks:
            return
        size = self.facts.call_thunk[1]
        # Traced from before alternatives on, ftrace_call no longer calls its stub when calls are counted.
        stub = self.image.symbols.lookup("ftrace_stub") - size
        if self.read(stub, size) == b"\x90" * size:
            memory.write(stub, b"\x90" * size)
        for symbol in self.image.symbols:
            va = symbol.address
            if symbol.type in "tT" and self._in_text(va) and memory.read(va - size, size) == b"\x90" * size:
                patcher.patch_pad(va)
                if self.read(va - size, size) != memory.read(va - size, size):
                    memory.write(va - size, b"\x90" * size)

    def _runtime(self, memory: Memory) -> None:
        first: dict[str, int] = {}
        for constant in self.sites.runtime:
            # Of a variable that the compiler has folded away the value stands in the instructions alone.
            place = first.setdefault(constant.symbol, constant.where)
            source = self.image.symbols.get(constant.symbol) or place
            memory.write(constant.where, self.read(source, constant.size))
