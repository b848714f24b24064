"""Code that is run against the tests of its reference, in the sandbox (G8)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ConfigDict, Field

from schemas.sample import Reference, Sample
from services.verifier.checks import Cost, Finding, Options
from services.verifier.code.answer import Code, code_of
from services.verifier.code.languages import LANGUAGES, Toolchains
from services.verifier.code.pair import run_tests, tests_of
from services.verifier.code.shared_sandbox import SharedSandbox
from services.verifier.code.source import Unparsed, program_of, prompt_of
from services.verifier.code.stdio import Case, cases_of, run_program
from services.verifier.sandbox import best_sandbox
from services.verifier.sandbox.interface import Limits, Sandbox
from services.verifier.settings import VerifierSettings


class CodeTestsOptions(BaseModel):
    """`verify.checks.code_tests` of a RunSpec.

    Attributes
    ----------
    language : str or None
        What answers are written in; None: what their fences or looks say.
    cpu_seconds, wall_seconds : float
        For one program with all its tests, or for one input.
    compile_seconds : float
        CPU time for a compiler.
    memory_megabytes, processes : int
        For one program.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    language: str | None = None
    cpu_seconds: float = Field(default=5.0, gt=0, le=600)
    wall_seconds: float = Field(default=20.0, gt=0, le=1800)
    compile_seconds: float = Field(default=60.0, gt=0, le=600)
    memory_megabytes: int = Field(default=512, ge=64)
    processes: int = Field(default=16, ge=1, le=512)

    def limits(self) -> Limits:
        """Return the limits of one job."""
        return Limits(
            cpu_seconds=self.cpu_seconds,
            wall_seconds=self.wall_seconds,
            memory_bytes=self.memory_megabytes << 20,
            processes=self.processes,
        )


class CodeTests:
    """The answer's program must pass every test of `reference.tests`; docs/checks/code_tests.md has the forms.

    Parameters
    ----------
    settings : VerifierSettings
    sandbox : callable, optional
        Finds the sandbox when it is first needed.
    """

    name = "code_tests"
    version = "1"
    cost = Cost.SANDBOX
    domains: frozenset[str] | None = None

    def __init__(
        self,
        settings: VerifierSettings,
        sandbox: Callable[[VerifierSettings], Awaitable[Sandbox]] = best_sandbox,
    ) -> None:
        self._sandbox = SharedSandbox(settings, sandbox)
        self._toolchains: Toolchains | None = None

    def applies(self, sample: Sample) -> bool:
        """Tell whether it has tests."""
        reference = sample.metadata.reference
        return reference is not None and bool(reference.tests)

    async def check(self, sample: Sample, options: Options) -> Finding | None:
        """Run the tests."""
        chosen = CodeTestsOptions.model_validate(dict(options))
        reference = sample.metadata.reference
        if reference is None or not reference.tests:
            return None
        code = code_of(sample.response, chosen.language, reference.entry_point)
        if code is None:
            return Finding("fail", "no_code")
        if code.language not in LANGUAGES:
            return Finding("unknown", f"language_not_served: {code.language}", code.language, ", ".join(LANGUAGES))
        return await self._run(sample, reference, code, chosen)

    async def close(self) -> None:
        """End the sandbox."""
        await self._sandbox.close()

    async def _run(self, sample: Sample, reference: Reference, code: Code, options: CodeTestsOptions) -> Finding:
        tests = reference.tests or []
        sandbox = await self._sandbox.get()
        if sandbox.reason is not None:
            return Finding("unknown", "no_sandbox", evidence=sandbox.reason)
        cases = cases_of(tests)
        if cases is not None:
            return await self._run_cases(sandbox, cases, code, options)
        if code.language != "python":
            return Finding("unknown", "tests_not_served", code.language, "stdin and stdout cases, or Python")
        prompt = prompt_of(sample.instruction, reference.entry_point)
        try:
            plan = tests_of(tests, reference.entry_point, prompt)
        except Unparsed as error:
            word = "tests_unreadable" if error.reason == "syntax_error" else error.reason
            return Finding("unknown", word, evidence=str(error))
        program = program_of(code.text, prompt, reference.entry_point)
        return await run_tests(sandbox, program, plan, options.limits())

    async def _run_cases(self, sandbox: Sandbox, cases: list[Case], code: Code, options: CodeTestsOptions) -> Finding:
        self._toolchains = self._toolchains or Toolchains(sandbox)
        language = LANGUAGES[code.language]
        tool = await self._toolchains.missing(language)
        if tool is not None:
            return Finding("unknown", f"no_toolchain: {tool}", tool, code.language)
        built = await self._toolchains.build(language, code.text, options.compile_seconds)
        return await run_program(sandbox, built, cases, options.limits())
