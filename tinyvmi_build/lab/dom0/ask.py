"""Has the lab's guest run a shell command: `python3 -m tinyvmi_build.lab.dom0.ask DOMID ID SECONDS COMMAND`.

Speaks the protocol of lab/guest/init.sh on the guest's console; prints the
command's output and exits with its status, or 4 if the guest has not
answered after SECONDS.
"""

from __future__ import annotations

import time

from tinyvmi_build.errors import MissingEnvironmentError
from tinyvmi_build.script import run_script
from tinyvmi_build.timeouts import timeout
from tinyvmi_build.xen.console import Console


def main(argv: list[str]) -> int:
    domid, number, seconds, command = argv
    deadline = time.monotonic() + timeout(float(seconds))
    done = f"TINYVMI-GUEST done {number} "
    with Console(int(domid)) as console:
        while console.read(0):  # what was said before
            pass
        console.write(f"run {number} {command}\n".encode())
        pending = b""
        while time.monotonic() < deadline:
            chunk = console.read(0.5)
            if chunk is None:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for raw in lines:
                line = raw.decode(errors="replace").rstrip("\r")
                if line.startswith(done):
                    return int(line.removeprefix(done))
                print(line, flush=True)
    raise MissingEnvironmentError("the guest does not answer on its console")


if __name__ == "__main__":
    run_script(main)
