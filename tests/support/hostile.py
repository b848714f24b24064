"""Hostile programs for the sandbox. Each says HELD where it was held back and ESCAPED where it came through."""
# ruff: noqa: E501

from __future__ import annotations

from dataclasses import dataclass, field, replace

from services.verifier.sandbox import Limits

TOOLS = {"bubblewrap": "bwrap", "gvisor": "runsc"}  # the program of each back end
BURNS = frozenset({"cpu_limit", "wall_limit"})  # on a busy machine the wall clock may be first
KILLED = frozenset({"signalled", "wall_limit", "cpu_limit", "memory_limit", "output_limit"})
TIGHT = Limits(
    cpu_seconds=0.4,
    wall_seconds=2.0,
    memory_bytes=160 << 20,
    processes=8,
    open_files=32,
    disk_bytes=4 << 20,
    output_bytes=1 << 14,
)
_LIBC = "import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_TRY = """
def attempt(what):
    try:
        result = what()
    except (OSError, ValueError, ImportError) as error:
        return print('HELD', error)
    print('HELD' if result == -1 else f'ESCAPED {result!r}')
"""


@dataclass(frozen=True)
class Hostile:
    """A program, and how it may end. `held`: it must say HELD if it ends by itself; nothing may ever say ESCAPED."""

    name: str
    python: str | None = None
    command: tuple[str, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    ends: frozenset[str] = frozenset({"exited"})
    held: bool = False
    stdin: bytes = b""

    @property
    def limits(self) -> Limits:
        """Tight ones for what may burn time; else enough for a busy machine, and little for what sleeps."""
        if "cpu_limit" in self.ends:
            return TIGHT
        return replace(TIGHT, cpu_seconds=5.0, wall_seconds=0.7 if self.ends == {"wall_limit"} else 20.0)


def _tries(name: str, *expressions: str) -> Hostile:
    lines = "".join(f"attempt(lambda: {expression})\n" for expression in expressions)
    return Hostile(name, _LIBC + "import socket, signal, resource\n" + _TRY + lines, held=True)


PROGRAMS: tuple[Hostile, ...] = (
    Hostile("fork bomb", "import os\nwhile True:\n try: os.fork()\n except OSError: pass", ends=KILLED),
    Hostile("fork bomb in bash", command=("bash", "-c", ":(){ :|:& };:; sleep 9"), ends=KILLED | {"exited"}),
    Hostile(
        "thread bomb",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
        ends=KILLED | {"exited"},
    ),
    Hostile("memory", "x = [bytearray(1 << 20) for _ in range(10**6)]", ends=KILLED | {"exited"}),
    Hostile(
        "shared anonymous memory",
        "import mmap\nmaps = []\nwhile True:\n m = mmap.mmap(-1, 1 << 24)\n maps.append(m)\n"
        " for p in range(0, 1 << 24, 4096): m[p] = 1",
        ends=KILLED | {"exited"},
    ),
    Hostile(
        "memory by many processes",
        "import os, time\nfor _ in range(6):\n if os.fork() == 0:\n  x = bytearray(60 << 20)\n"
        "  for p in range(0, len(x), 4096): x[p] = 1\n  time.sleep(9)\ntime.sleep(9)",
        ends=frozenset({"memory_limit"}),
    ),
    Hostile(
        "page tables of a terabyte",
        command=(
            "bash",
            "-c",
            "gcc -o m m.c && exec ./m || exec python3 -c 'import mmap; mmap.mmap(-1, 1 << 40); print(\"ESCAPED\")'",
        ),
        files={
            "m.c": b"#include <stdio.h>\n#include <sys/mman.h>\n#include <stdlib.h>\nint main(){char*p=mmap(0,1L<<40,PROT_READ,"
            b"MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE,-1,0);if(p==MAP_FAILED)exit(3);volatile char c;"
            b'for(long i=0;i<1L<<40;i+=1<<21)c=p[i];puts("ESCAPED");}'
        },
        ends=KILLED | {"exited"},
    ),
    Hostile("disk", "import os\nn = 0\nwhile True:\n open(f'/tmp/{n}', 'wb').write(b'x' * (1 << 20)); n += 1"),
    Hostile(
        "disk through shared memory files",
        "n = 0\nwhile True:\n open(f'/dev/shm/{n}', 'wb').write(b'x' * (1 << 20)); n += 1",
    ),
    Hostile("one endless file", "f = open('big', 'wb', 0)\nwhile True: f.write(bytes(1 << 20))"),
    Hostile("sparse file of a terabyte", "f = open('big', 'wb'); f.truncate(1 << 40)\nprint('ESCAPED')"),
    Hostile("too many files", "for n in range(10**6): open(f'/tmp/f{n}', 'w').close()\nprint('ESCAPED')"),
    Hostile("too many descriptors", "x = [open('/dev/null') for _ in range(10**5)]\nprint('ESCAPED')"),
    Hostile("output flood", "while True: print('x' * 1000)", ends=frozenset({"output_limit"})),
    Hostile("error flood", "import os\nwhile True: os.write(2, b'x' * 4096)", ends=frozenset({"output_limit"})),
    Hostile("infinite loop", "while True: pass", ends=BURNS),
    Hostile("infinite loop in C", "(10**9) ** (10**9)", ends=KILLED | {"exited"}),
    Hostile(
        "catastrophic regular expression",
        "import re\nre.match(r'(a+)+$', 'a' * 64 + 'b')",
        ends=BURNS,
    ),
    Hostile("sleeping for ever", "import time\ntime.sleep(10**6)", ends=frozenset({"wall_limit"})),
    Hostile(
        "ignoring every signal",
        "import signal\nfor n in range(1, 65):\n try: signal.signal(n, signal.SIG_IGN)\n"
        " except (OSError, ValueError): pass\nwhile True: pass",
        ends=BURNS,
    ),
    Hostile(
        "many processes that burn time",
        "import os\ntry:\n for _ in range(4): os.fork()\nexcept OSError: pass\nwhile True: pass",
        ends=BURNS | {"memory_limit"},  # gVisor counts what they share for each
    ),
    Hostile(
        "daemonised child",
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n  time.sleep(600)\n"
        " os._exit(0)\nprint('HELD')",
        held=True,
    ),
    Hostile("child that keeps the output open", command=("bash", "-c", "sleep 600 & echo HELD"), held=True),
    Hostile(
        "killing everything in sight",
        "import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: print('HELD')",
        held=True,
    ),
    Hostile(
        "killing the fork server",
        "import os, signal\nfor n in range(1, 400):\n if n != os.getpid():\n"
        "  for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):\n   try: os.kill(n, s)\n   except OSError: pass\n"
        "print('HELD')",
        ends=frozenset({"exited", "signalled"}),  # in gVisor it can kill its own guardian, which ends it
        held=True,
    ),
    Hostile(
        "killing its own session", "import os, signal\nos.killpg(0, signal.SIGKILL)", ends=frozenset({"signalled"})
    ),
    Hostile(
        "stopping itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", ends=frozenset({"wall_limit"})
    ),
    Hostile("crash", "import ctypes\nctypes.string_at(0)", ends=frozenset({"signalled"})),
    Hostile("deep recursion", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", ends=KILLED | {"exited"}),
    _tries(
        "host files",
        *(
            f"open({place!r}).read()"
            for place in (
                "/etc/shadow",
                "/etc/hostname",
                "/etc/resolv.conf",
                "/root/.bashrc",
                "/proc/kcore",
                "/proc/sched_debug",
            )
        ),
    ),
    _tries(
        "host folders", *(f"os.listdir({place!r})" for place in ("/root", "/home", "/var", "/work", "/sys", "/run"))
    ),
    Hostile(
        "environment", "import os\nprint('HELD' if 'LIMOFLOW_CANARY' not in str(os.environ) else 'ESCAPED')", held=True
    ),
    _tries(
        "environments and memory of others",
        *(f"open('/proc/{who}', 'rb').read(9)" for who in ("1/environ", "1/mem", "1/maps", "1/fd/0")),
    ),
    _tries(
        "sockets",
        "socket.create_connection(('127.0.0.1', 22), 1)",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(socket.AF_UNIX).bind('\\0abstract')",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(40, socket.SOCK_STREAM)",
        "socket.socketpair(type=socket.SOCK_DGRAM)[0].bind('\\0abstract')",
        "socket.socketpair(type=socket.SOCK_DGRAM)[0].connect('\\0abstract')",
        "socket.socketpair()[0].listen()",
    ),
    Hostile(
        "network in bash",
        command=("bash", "-c", "(echo x >/dev/tcp/127.0.0.1/22) && echo ESCAPED || echo HELD"),
        held=True,
    ),
    _tries(
        "ptrace and the memory of others",
        "libc.ptrace(16, 1, 0, 0)",
        "libc.process_vm_readv(1, 0, 0, 0, 0, 0)",
        "libc.process_vm_writev(1, 0, 0, 0, 0, 0)",
        "open('/proc/1/mem', 'r+b')",
    ),
    _tries(
        "namespaces",
        *(f"libc.unshare({flag})" for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000)),
        "libc.setns(0, 0)",
        "libc.syscall(435, 0, 88)",
    ),
    _tries("clone into a user namespace", "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    _tries(
        "mounts",
        "libc.mount(b'tmpfs', b'/usr', b'tmpfs', 0, 0)",
        "libc.umount2(b'/tmp', 2)",
        "os.chroot('/tmp')",
        "libc.syscall(428, -100, b'/', 1)",
        "libc.syscall(430, b'tmpfs', 0)",
    ),
    _tries(
        "privileges",
        "os.setuid(0)",
        "os.setgid(0)",
        "os.setgroups([0])",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (10**5, 10**5))",
        "resource.setrlimit(resource.RLIMIT_NPROC, (10**5, 10**5))",
        "os.setpriority(os.PRIO_PROCESS, 0, -20)",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    ),
    _tries(
        "dangerous calls",
        *(f"libc.syscall({number}, 0, 0, 0, 0, 0)" for number in (321, 298, 323, 425, 248, 250, 319, 175, 246, 169)),
    ),
    _tries(
        "system settings",
        *(
            f"open({place!r}, 'w').write('1')"
            for place in (
                "/proc/sys/kernel/core_pattern",
                "/proc/sysrq-trigger",
                "/proc/self/oom_score_adj",
                "/proc/self/uid_map",
                "/sys/power/state",
            )
        ),
    ),
    _tries(
        "writing outside its rooms",
        *(
            f"open({place!r}, 'ab').write(b'x')"
            for place in (
                "/usr/bin/python3.11",
                "/limoflow/services/verifier/sandbox/inside/server.py",
                "/etc/passwd",
                "/dev/x",
                "/x",
                "/bin/sh",
            )
        ),
    ),
    _tries(
        "devices", "os.mknod('/tmp/d', 0o060600, os.makedev(8, 0))", "os.mknod('/tmp/m', 0o020600, os.makedev(1, 1))"
    ),
    _tries(
        "symbolic and hard links",
        "os.symlink('/etc/shadow', 's') or open('s').read()",
        "os.symlink('/proc/1/root', 'r') or os.listdir('r/root')",
        "os.link('/etc/passwd', 'p') or open('p', 'w')",
        "open('/tmp/../../../../../etc/shadow').read()",
        "open('/proc/self/root/etc/shadow').read()",
    ),
    _tries(
        "shared memory that outlives a run",
        "libc.shmget(0x1234, 4096, 0o1666)",
        "libc.semget(0x1234, 1, 0o1666)",
        "libc.msgget(0x1234, 0o1666)",
        "libc.mq_open(b'/q', 0o102, 0o666, 0)",
        "libc.memfd_create(b'x', 0)",
    ),
    _tries(
        "descriptors of the runner",
        *(f"os.write({number}, b'forged')" for number in (3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 30)),
    ),
    Hostile(
        "every descriptor there may be",
        "import os\nfor n in range(3, 2000):\n for call in (lambda: os.write(n, b'{}'), lambda: os.read(n, 9)):\n"
        "  try: call(); print('ESCAPED', n)\n  except OSError: pass\nprint('HELD')",
        held=True,
    ),
    Hostile(
        "poisoning builtins and modules",
        "import builtins, sys, json, os\nbuiltins.print = builtins.len = None\n"
        "os._exit = os.write = json.dumps = lambda *a, **k: None\nsys.modules['math'] = None\nsys.path[:] = []",
    ),
    Hostile(
        "poisoning the fork server's own code",
        "import sys, gc\nfor f in gc.get_objects():\n"
        " if type(f).__name__ == 'function' and 'sandbox' in f.__code__.co_filename: f.__code__ = (lambda *a, **k: 0).__code__",
        ends=frozenset({"exited", "signalled", "wall_limit", "cpu_limit"}),
    ),
    Hostile(
        "leaving files, links and a poisoned module",
        "import os\nfor d in ('/tmp', '/dev/shm', '.'):\n"
        " for n in ('math.py', 'json.py', 'main.py', 'sitecustomize.py'): open(f'{d}/{n}', 'w').write('raise SystemExit(9)')",
    ),
    Hostile(
        "zip bomb",
        "import io, zipfile, zlib\nz = zlib.compress(bytes(1 << 26))\nx = [zlib.decompress(z) for _ in range(99)]",
        ends=KILLED | {"exited"},
    ),
    Hostile(
        "pickle bomb",
        "import pickle\npickle.loads(b'cos\\nsystem\\n(S\"cat /etc/shadow && echo ESCAPED\"\\ntR.')\n"
        "x = 'l'\nfor _ in range(60): x = [x] * 9\npickle.dumps(str(x))",
        ends=KILLED | {"exited"},
    ),
    Hostile("a source with NUL and odd letters", "x = '\u202e\ufeff'\nprint('\ud800')\0"),
    Hostile(
        "names that cannot be",
        "import os\nfor n in ('\\0', 'a' * 5000, '../' * 900 + 'etc/shadow', '\\ud800'):\n"
        " try: print('ESCAPED', open(n).read())\n except (OSError, ValueError): pass\nprint('HELD')",
        held=True,
    ),
    Hostile("ending before the end", "import sys\nsys.exit(0)\nprint('ESCAPED')"),
    Hostile("ending without the interpreter", "import os\nos._exit(0)\nprint('ESCAPED')"),
    Hostile(
        "an end that never comes",
        "import atexit, time\natexit.register(time.sleep, 600)",
        ends=frozenset({"wall_limit"}),
    ),
    Hostile(
        "a thread that stays",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
        ends=frozenset({"wall_limit"}),
    ),
    Hostile(
        "a result that says it is the runner's",
        'import os, struct, sys\nm = b\'[{"status":"exited","code":0}]\'\n'
        "os.write(1, struct.pack('!I', len(m)) + m)\nsys.exit(7)",
    ),
    Hostile(
        "set-user-id programs",
        command=(
            "bash",
            "-c",
            "cp /bin/sh s; chmod 4755 s; ./s -c id; mount -t tmpfs x /tmp && echo ESCAPED; "
            "su -c id 2>&1 | grep uid=0 && echo ESCAPED; echo HELD",
        ),
        held=True,
    ),
    Hostile(
        "nested sandbox",
        command=(
            "bash",
            "-c",
            "bwrap --unshare-user --bind / / true && echo ESCAPED; unshare -U true && echo ESCAPED; echo HELD",
        ),
        held=True,
    ),
    Hostile(
        "calls by the 32-bit door",
        _LIBC + "import mmap\nregion = mmap.mmap(-1, 4096, prot=7)\n"
        "region.write(bytes.fromhex('b814000000cd80c3'))\n"  # mov eax, getpid; int 0x80; ret
        "print('ESCAPED', ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(region)))())",
        ends=frozenset({"signalled"}),
    ),
    Hostile(
        "calls by the x32 door",
        _LIBC + "print('HELD' if libc.syscall(0x40000000 | 39) == -1 else 'ESCAPED')",
        ends=frozenset({"signalled", "exited"}),  # gVisor has no such calls
        held=True,
    ),
    Hostile(
        "children whose time nobody is told",
        "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n"
        " try:\n  if os.fork() == 0:\n   end = time.monotonic() + 0.01\n   while time.monotonic() < end: pass\n"
        "   os._exit(0)\n except OSError: pass\n time.sleep(0.01)",
        ends=BURNS | {"signalled"},
    ),
    Hostile(
        "a name that reads as another process's numbers",
        _LIBC + "libc.prctl(15, b'a) S 1 1 1 0 -1 0', 0, 0, 0)\nwhile True: pass",
        ends=BURNS,
    ),
    Hostile(
        "taking its rooms away",
        "import os, shutil\nfor place in ('/tmp/work', '/tmp/.shm'):\n shutil.rmtree(place, ignore_errors=True)\n"
        "os.chmod('/tmp', 0)\nos.closerange(0, 3)\nos._exit(0)",
    ),
    Hostile(
        "signals through its output",
        "import fcntl, os, signal\nfor n in (0, 1, 2):\n for command, value in ((fcntl.F_SETFL, os.O_NONBLOCK | 0o20000),\n"
        "   (fcntl.F_SETOWN, 1), (fcntl.F_SETOWN, -1), (10, signal.SIGKILL), (1031, 1 << 20)):\n"
        "  try: fcntl.fcntl(n, command, value)\n  except OSError: pass\n"
        "while True:\n try: os.write(1, b'x' * 4096)\n except BlockingIOError: pass",
        ends=frozenset({"output_limit", "signalled"}),  # the signal that it asks for is its own
    ),
    Hostile(
        "a program from nowhere",
        _LIBC + _TRY + "attempt(lambda: libc.syscall(319, b'x', 0))\n"
        "os.symlink('/proc/self/exe', 'exe')\nattempt(lambda: open('/proc/self/exe', 'r+b'))\n"
        "attempt(lambda: open('exe', 'r+b'))\nattempt(lambda: libc.syscall(434, 1, 0))\n"
        "attempt(lambda: libc.syscall(424, 1, 9, 0, 0))",
        held=True,
    ),
    Hostile(
        "descriptors in flight",
        "import array, os, socket\npairs = []\ntry:\n while True:\n  pairs.append(socket.socketpair())\n"
        "  one = pairs[-1][0]\n  one.setblocking(False)\n  while True:\n   try: one.sendmsg([b'x'], [(1, 1, array.array('i', [0, 1, 2]))])\n"
        "   except BlockingIOError: break\nexcept OSError: print('HELD')",
        ends=frozenset({"exited", *BURNS}),
        held=True,
    ),
)
