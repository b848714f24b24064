"""Whether instruction and response are in the language that is wanted, and in the same one."""

from __future__ import annotations

import re

from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in
from services.verifier.texts.languages import Language, language_of

SHORT = 8
_DISTINGUISHED = frozenset({"en", "zh", "ja", "ko", "de", "fr", "es", "it", "pt", "nl", "sv", "pl", "tr", "id", "vi"})
_ABOUT_LANGUAGES = re.compile(
    r"\b(?:translat\w*|translitera\w*|languages?|bilingual|pinyin|english|chinese|mandarin|cantonese|japanese|korean|french|german|"
    r"spanish|italian|portuguese|dutch|russian|arabic|hindi|latin|greek|turkish|polish|swedish|vietnamese|indonesian)\b"
    r"|翻译|译成|译为|译文|[英中日韩法德俄]文|[汉英日韩法德俄]语|语言|拼音|西班牙语|阿拉伯语",
    re.IGNORECASE,
)


class InLanguage:
    """Runs only where `verify.checks` names it.

    Options: `languages`, ISO 639-1 codes that are wanted (by default the one that the sample declares, else any);
    `agree` (true), whether instruction and response must be in one language: not asked of an instruction that speaks of
    languages. A response of fewer than eight words, and one of a code domain, need not tell its language; where the
    instruction does not tell it either, or a longer response does not, the verdict is `unknown`.
    """

    name = "language"
    version = "1"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def options_of(self, run: Run) -> Options | None:
        """Return the settings; None where the run does not name the check."""
        chosen = run.spec.verify.checks.get(self.name)
        return None if chosen is None else chosen if isinstance(chosen, dict) else {}

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding:
        """Return the first part that is in another language, then whether both agree, then what was not told."""
        asked, answered = language_of(sample.instruction), language_of(sample.response)
        wanted = _wanted(sample, options)
        for part, found in (("instruction", asked), ("response", answered)):
            fault = _unwanted(part, found, wanted)
            if fault is not None:
                return fault
        if options.get("agree", True) and _differ(asked, answered) and not _ABOUT_LANGUAGES.search(sample.instruction):
            said = f"asked in {asked.name}, answered in {answered.name}"
            return Finding("fail", "answered_in_another_language", answered.name, asked.name, said)
        return _told(sample, asked, answered)


def _wanted(sample: Sample, options: Options) -> tuple[str, ...]:
    declared = sample.metadata.language
    named = options.get("languages") or ([declared] if declared else [])
    named = [named] if isinstance(named, str) else named
    return tuple(re.split(r"[-_]", str(code).casefold())[0] for code in named)


def _unwanted(part: str, found: Language, wanted: tuple[str, ...]) -> Finding | None:
    if not wanted or not found.known or found.name in wanted:
        return None
    if not _DISTINGUISHED.issuperset(wanted):
        return Finding("unknown", "not_distinguished", found.name, ", ".join(wanted), f"the {part}")
    return Finding("fail", "wrong_language", found.name, ", ".join(wanted), f"the {part}")


def _differ(one: Language, other: Language) -> bool:
    return one.known and other.known and one.name != other.name


def _told(sample: Sample, asked: Language, answered: Language) -> Finding:
    free = answered.words < SHORT or domain_in(sample, CODE_DOMAINS)
    if answered.known or (free and asked.known):
        return PASS
    part = "response" if asked.known else "instruction and response"
    return Finding("unknown", "language_not_told", answered.name, evidence=f"{part}: {answered.words} words")
