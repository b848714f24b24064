"""The languages that programs may be written in: how each is built and started inside the sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.verifier.sandbox.interface import Job, Limits, Outcome, Sandbox

_COMPILE = Limits(cpu_seconds=60, wall_seconds=90, memory_bytes=2 << 30, processes=64, open_files=512,
                  disk_bytes=256 << 20, output_bytes=32 << 20)  # fmt: skip
_BUILT = "built.tar"
_NOT_CODE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*(?>.*?(?:\*/|\Z))', re.DOTALL)
_PUBLIC = re.compile(
    r"\bpublic\s+(?:final\s+|abstract\s+|strictfp\s+)*(?:class|record|enum|interface)\s+([A-Za-z_]\w{0,99})"
)
_PACKAGE = re.compile(r"^[^\S\n]*+package\s+([A-Za-z_][\w.]{0,199})\s*;", re.MULTILINE)
_CLASS = re.compile(r"\b(?:class|record|enum|interface)\s+([A-Za-z_]\w{0,99})")
_MAIN = re.compile(r"\bstatic\s+(?:final\s+)?void\s+main\s*\(")
# A JVM reserves by the machine's memory where it is not told otherwise.
_JVM = ("-Xss16m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:ReservedCodeCacheSize=48m", "-XX:CompressedClassSpaceSize=48m")


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes
    ----------
    file : str
        Name of the source file.
    tools : tuple of str
        Programs that must be there.
    start : tuple of str
        What runs the program, in the folder of the source or of what was built.
    build : str or None
        Shell command that leaves what `start` needs in the folder `out`; None for what is not compiled.
    tasks : int
        Processes and threads that its runtime needs beside the program's.
    """

    file: str
    tools: tuple[str, ...]
    start: tuple[str, ...]
    build: str | None = None
    tasks: int = 0


LANGUAGES: Mapping[str, Language] = {
    "python": Language("main.py", (), ()),
    "javascript": Language("main.js", ("node",), ("node", "main.js"), tasks=24),
    "bash": Language("main.sh", ("bash",), ("bash", "main.sh")),
    "c": Language("main.c", ("gcc",), ("out/main",), "gcc -O1 -std=gnu17 -o out/main main.c -lm"),
    "cpp": Language("main.cpp", ("g++",), ("out/main",), "g++ -O1 -std=gnu++20 -o out/main main.cpp"),
    "go": Language("main.go", ("go",), ("out/main",),
                   "HOME=/tmp GOFLAGS=-p=2 go build -ldflags=-s -o out/main main.go", tasks=24),
    "java": Language("Main.java", ("javac", "java"), ("java", *_JVM, "-cp", "out", "Main"),
                     "javac -d out Main.java", 32),
    "rust": Language("main.rs", ("rustc",), ("out/main",), "rustc -O -C strip=symbols -o out/main main.rs", 8),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Built:
    """A program that can be started any number of times, each time in a sandbox of its own."""

    language: Language
    files: Mapping[str, bytes]

    def job(self, stdin: bytes, limits: Limits) -> Job:
        """Return the job that starts it on an input."""
        if not self.language.tools:
            return Job(python=self.files["main.py"].decode(), stdin=stdin, limits=limits)
        limits = replace(limits, processes=limits.processes + self.language.tasks)
        command = self.language.start
        if _BUILT in self.files:
            command = ("sh", "-c", f'tar xf {_BUILT} && rm {_BUILT} && exec "$@"', "sh", *command)
            limits = replace(limits, disk_bytes=limits.disk_bytes + 2 * len(self.files[_BUILT]))
        return Job(command=command, files=self.files, stdin=stdin, limits=limits)


def as_named(language: Language, source: str) -> Language:
    """Return how Java source is built and started: its file is named by the public class, its class holds `main`."""
    bare = _NOT_CODE.sub(" ", source)
    public, package = _PUBLIC.search(bare), _PACKAGE.search(bare)
    main = _MAIN.search(bare)
    # The class that holds `main` is the last one before it that is inside no other.
    file = holder = public[1] if public else "Main"
    depth = at = 0
    for each in _CLASS.finditer(bare, 0, main.start() if main else 0):
        depth += bare.count("{", at, each.start()) - bare.count("}", at, each.start())
        at = each.start()
        holder = holder if depth else each[1]
    name = f"{package[1]}.{holder}" if package else holder
    return replace(language, file=f"{file}.java", start=(*language.start[:-1], name), build=f"javac -d out {file}.java")


class Toolchains:
    """What can be built in one sandbox; each tool is looked for once.

    Parameters
    ----------
    sandbox : Sandbox
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._there: dict[str, bool] = {}

    async def missing(self, language: Language) -> str | None:
        """Return the first of a language's tools that the sandbox does not have."""
        for tool in language.tools:
            if tool not in self._there:
                outcome = await self._sandbox.run(Job(command=("sh", "-c", 'command -v "$1"', "sh", tool)))
                if outcome.status != "exited":
                    return tool
                self._there[tool] = outcome.code == 0
            if not self._there[tool]:
                return tool
        return None

    async def build(self, language: Language, source: str, seconds: float) -> Built | Outcome:
        """Compile what must be compiled; return the outcome where that fails.

        Parameters
        ----------
        language : Language
        source : str
        seconds : float
            CPU time for the compiler.
        """
        language = as_named(language, source) if language is LANGUAGES["java"] else language
        files = {language.file: source.encode(errors="surrogatepass")}
        if language.build is None:
            return Built(language, files)
        limits = replace(_COMPILE, cpu_seconds=seconds, wall_seconds=3 * seconds)
        command = ("sh", "-c", f"mkdir out && {language.build} 1>&2 && tar cf - out")
        outcome = await self._sandbox.run(Job(command=command, files=files, limits=limits))
        if outcome.status != "exited" or outcome.code != 0:
            return outcome
        return Built(language, {_BUILT: outcome.stdout})
