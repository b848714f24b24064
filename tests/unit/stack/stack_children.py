"""Tiny programs that the tests run as processes of a stack."""

import sys
from pathlib import Path

from limoflow.stack.processes import ProcessSpec

FOREVER = "import signal\nwhile True: signal.pause()"
# Says that it started and that it was asked to stop, in a file that all children of a test share.
POLITE = """
import signal, sys
def note(text):
    with open(sys.argv[1], "a") as notes: notes.write(f"{sys.argv[2]} {text}\\n")
def leave(*_):
    note("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
note("started")
while True: signal.pause()
"""
STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True: signal.pause()
"""
# Starts a child of its own and writes down its process id; with "session" that child is in a session of its own.
PARENT = f"""
import pathlib, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {FOREVER!r}], start_new_session="session" in sys.argv)
notes = pathlib.Path(sys.argv[1])
notes.with_suffix(".part").write_text(str(child.pid))
notes.with_suffix(".part").rename(notes)
while True: signal.pause()
"""


def python(program: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-c", program, *(str(argument) for argument in arguments))


def spec(folder: Path, program: str = FOREVER, *arguments: object, name: str = "child", **fields) -> ProcessSpec:
    values = {"env": {}, "log_path": folder / "logs" / f"{name}.log", **fields}
    return ProcessSpec(name, python(program, *arguments), **values)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
