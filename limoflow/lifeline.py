"""A child that does not outlive its parent, whatever ended it.

As a program, `python -m limoflow.lifeline ARGUMENTS`, it becomes `python ARGUMENTS` under that rule.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT = "LIMOFLOW_PARENT_PROCESS"


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux only; see prctl(2)); it lasts through exec.

    A parent that ended before the call is known by its id in the environment; the process then ends itself.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = os.environ.get(PARENT)
    if parent is not None and os.getppid() != int(parent):
        os._exit(1)


if __name__ == "__main__":
    die_with_parent()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 - the caller's own command
