"""Who changes the kernel's code while it runs: tracers and kprobes, set up by a script in the guest."""

from __future__ import annotations

_MOUNT = "mount -t tracefs t /sys/kernel/tracing && cd /sys/kernel/tracing"
_ONE = "cd instances && mkdir one && cd one && {} && {}".format(
    "echo do_nanosleep > set_ftrace_filter", "echo function > current_tracer"
)

#: Name → (shell commands, kinds that must be reported by default).
SCRIPTS: dict[str, tuple[str, frozenset[str]]] = {
    "tracer-off-again": ("echo function > current_tracer; sleep 1; echo nop > current_tracer", frozenset()),
    "tracer-filtered": (
        "echo 'vfs_read vfs_write' > set_ftrace_filter; echo function > current_tracer",
        frozenset(),
    ),
    "tracer-two-instances": (
        f"echo 'vfs_*' > set_ftrace_filter; echo function > current_tracer; {_ONE}",
        frozenset(),
    ),
    "tracer-pid": ("echo $$ > set_ftrace_pid; echo function > current_tracer; " + _ONE, frozenset()),
    "tracer-notrace": (
        "echo 'vfs_*' > set_ftrace_notrace; echo schedule > set_ftrace_filter; "
        f"echo function > current_tracer; {_ONE}",
        frozenset(),
    ),
    "graph-filtered": (
        "echo vfs_read > set_graph_function; echo function_graph > current_tracer",
        frozenset(),
    ),
    "graph-and-function": (f"echo function_graph > current_tracer; {_ONE}", frozenset()),
    "tracer-switched-off": (
        "echo function > current_tracer; echo 0 > /proc/sys/kernel/ftrace_enabled",
        frozenset(),
    ),
    "stack-tracer": ("echo 1 > /proc/sys/kernel/stack_tracer_enabled || true", frozenset()),
    "kprobe-on-ftrace": (
        "echo p:a vfs_read >> kprobe_events; echo 1 > events/kprobes/a/enable",
        frozenset({"kprobe"}),
    ),
    "kretprobe": (
        "echo r:a vfs_read >> kprobe_events; echo 1 > events/kprobes/a/enable",
        frozenset({"kprobe"}),
    ),
    "kprobe-optimised": (
        "{probes}echo 1 > events/kprobes/enable; sleep 2",
        frozenset({"kprobe"}),
    ),
    "kprobe-plain": (
        "echo 0 > /proc/sys/debug/kprobes-optimization; {probes}echo 1 > events/kprobes/enable; sleep 1",
        frozenset({"kprobe"}),
    ),
    "kprobe-twice": (
        "echo p:a vfs_read >> kprobe_events; echo r:b vfs_read >> kprobe_events; {probes}{more}"
        "echo 1 > events/kprobes/enable; sleep 2",
        frozenset({"kprobe"}),
    ),
    "kprobe-off-again": (
        "{probes}echo 1 > events/kprobes/enable; sleep 2; echo 0 > events/kprobes/enable; sleep 1; "
        "echo > kprobe_events",
        frozenset(),
    ),
    "kprobes-disarmed": (
        "mount -t debugfs d /sys/kernel/debug; {probes}echo 1 > events/kprobes/enable; sleep 1; "
        "echo 0 > /sys/kernel/debug/kprobes/enabled; sleep 1",
        frozenset(),
    ),
}


def script(name: str) -> str:
    """All of it, to be run as root."""
    return f"{_MOUNT} && {{ {SCRIPTS[name][0]}; }}"
