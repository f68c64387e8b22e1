"""The crash report, and that Xen sees a crash and not an orderly end."""

from __future__ import annotations

import re

import pytest

from tests.smoke.booting import Boot, boot

# Mode → what the report says, the function that it blames, the thread.
MODES = {
    "page-fault": (r"page fault: write to an unmapped page, error code 0x2 \(NULL p", "crash_page_fault"),
    "bug": (r"BUG", "crash_bug"),
    "stack-overflow": (r"stack overflow: ", "crash_recursion"),
    "canary": (r"BUG", "__stack_chk_fail"),
    "double-free": (r"BUG", "slab_free|xfree"),
    "bad-frame": (r"BUG", "batch_issue|do_map_frames"),
    "event": (r"page fault: write to an unmapped page", "crash_page_fault"),
}
REGISTERS = ["RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", *(f"R{n:02}" for n in range(8, 16))]


@pytest.fixture(scope="module")
def crashed(smoke_image):
    """`crashed("bug")`: the boot that ended so, done once."""
    done: dict[str, Boot] = {}

    def run(mode: str) -> Boot:
        if mode not in done:
            done[mode] = boot(smoke_image("gcc"), f"smoke={mode}")
        assert done[mode].ended == "crashed", done[mode].console
        return done[mode]

    return run


@pytest.mark.parametrize("mode", MODES)
def test_report(crashed, mode: str) -> None:
    text = crashed(mode).text
    what, function = MODES[mode]
    assert re.search(rf"^\*\*\* CRASH: {what}", text, re.MULTILINE), text
    rip = re.search(r"^RIP: 0x[0-9a-f]{16} (\w+)\+0x[0-9a-f]+/0x[0-9a-f]+$", text, re.MULTILINE)
    assert rip and re.fullmatch(function, rip[1]), text
    for register in REGISTERS:
        assert re.search(rf"\b{register}: [0-9a-f]{{16}}\b", text), f"{register} is missing\n{text}"
    thread = "event handler" if mode == "event" else "crasher"
    assert f"Thread: {thread}\n" in text
    assert text.rstrip().endswith("*** END OF CRASH REPORT")


def test_stack_trace_reaches_the_thread(crashed) -> None:
    text = crashed("page-fault").text
    trace = text.partition("Stack trace:\n")[2]
    assert re.findall(r"(\w+)\+", trace) == ["crash_page_fault", "thread_main", "thread_starter"]
    assert "CR2: 0x0000000000000018\n" in text


def test_executing_data(crashed) -> None:
    text = crashed("data").text
    assert "*** CRASH: page fault: instruction fetch from a page that forbids it" in text
    address = re.search(r"^CR2: (0x[0-9a-f]{16})$", text, re.MULTILINE)
    assert address and f"RIP: {address[1]}\n" in text  # data has no symbol


def test_messages_before_the_report(crashed) -> None:
    assert "stack smashing detected" in crashed("canary").text
    assert re.search(r"ASSERTION FAILED: .* at \./kernel/tests/crash_modes\.c:\d+", crashed("bug").text)
    assert "mapping frame 0x4000000000 of domain 32752 at 0x1" in crashed("bad-frame").text
