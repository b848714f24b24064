"""Whether what is said stands in given passages, and whether they join question and answer. [own]: words only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from services.verifier.texts.content import names, numbers, pairs, sentences, stems
from services.verifier.texts.grams import tokens

_RESULT = re.compile(r"\s*[^\w\s]?\s*(\d[\d,]*(?:\.\d+)?)")
_SUBJECT = re.compile(r"(?:[A-ZÀ-Þ][\w'’.-]{1,60}\s?){1,5}")
_CHINESE_SUBJECT = re.compile(r"[《“「]?([\u4e00-\u9fff·]{2,12}?)[》”」]?(?=[，,、（(：:]|是|为|生于|出生)")
_MOST_LINKS = 100
_NOTE = re.compile(r"<<[^<>]{0,200}>>")
_QUOTED = re.compile(r"[\"“《「]([^\"”》」\n]{2,80})[\"”》」]")


@dataclass(frozen=True)
class Passage:
    """A text that is held to be true, with what it speaks of."""

    text: str

    @cached_property
    def words(self) -> str:
        """Its tokens, each between two spaces."""
        return f" {' '.join(tokens(self.text))} "

    @cached_property
    def content(self) -> frozenset[str]:
        """Stems and pairs of Chinese characters."""
        return stems(self.text) | pairs(self.text)

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        """Its numbers."""
        return numbers(self.text)

    @cached_property
    def subject(self) -> str:
        """What it is about: the capitalised words, or the Chinese ones before a comma or 是, that it begins with."""
        match = _SUBJECT.match(self.text)
        if match is None and (chinese := _CHINESE_SUBJECT.match(self.text)):
            return chinese[1]
        return match[0] if match and len(match[0]) > 3 else ""

    @cached_property
    def links(self) -> tuple[str, ...]:
        """What it names, its subject first; at most 100."""
        return tuple(dict.fromkeys([self.subject, *anchors(self.text)]))[:_MOST_LINKS]

    def holds(self, phrase: str) -> bool:
        """Tell whether the tokens of a phrase stand in it, one after the other."""
        wanted = " ".join(tokens(phrase))
        return bool(wanted) and f" {wanted} " in self.words

    def names_any_part(self, name: str) -> bool:
        """Tell whether it holds a name or the longest of its words."""
        longest = max(tokens(name), key=len, default="")
        return self.holds(name) or (len(longest) > 2 and f" {longest} " in self.words)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is left of one sentence when the passages are taken away.

    Attributes
    ----------
    text : str
        The sentence.
    strange : tuple of str
        Names and numbers that no passage has and that no written calculation leads to.
    unsure : tuple of str
        Numbers of a calculation that are in no passage: constants, conversions, or invented.
    covered : float
        Share of its content words that a passage has, 0 to 1; 1 where there is none.
    content : int
        Its content words.
    """

    text: str
    strange: tuple[str, ...]
    unsure: tuple[str, ...]
    covered: float
    content: int


def claims(answer: str, passages: Sequence[Passage], question: Passage) -> list[Claim]:
    """Return every sentence of an answer against passages; what the question says may be repeated."""
    known = [*passages, question]
    derived: set[Decimal] = set().union(*(passage.numbers for passage in known))
    found = []
    for sentence in sentences(_NOTE.sub(" ", answer)):
        derived |= _results(sentence, derived)
        found.append(_claim(sentence, known, derived))
        # What was said of a calculation is blamed once, where it stands.
        if "=" in sentence:
            derived |= numbers(sentence)
    return found


def _results(sentence: str, known: set[Decimal]) -> set[Decimal]:
    """Return the numbers right after an equals sign whose other side holds known numbers only."""
    found: set[Decimal] = set()
    before, *rest = sentence.split("=")
    for after in rest:
        operands, result = numbers(before), _RESULT.match(after)
        if operands and operands <= known | found and result:
            found |= numbers(result[1])
        before = after
    return found


def _claim(sentence: str, known: Sequence[Passage], derived: set[Decimal]) -> Claim:
    strange = [name for name in names(sentence) if not any(passage.names_any_part(name) for passage in known)]
    new = tuple(f"{number:f}" for number in sorted(numbers(sentence) - derived))
    calculated = "=" in sentence
    strange += () if calculated else new
    said = stems(sentence) | pairs(sentence)
    covered = said & frozenset().union(*(passage.content for passage in known))
    unsure = new if calculated else ()
    return Claim(sentence, tuple(strange), unsure, len(covered) / len(said) if said else 1.0, len(said))


def anchors(question: str) -> list[str]:
    """Return what a question names: runs of capitals, and what stands in quotation marks."""
    quoted = _QUOTED.findall(question)
    return [*quoted, *(name for name in names(_QUOTED.sub(" ", question)))]


def chain(question: str, answer: str, passages: Sequence[Passage]) -> list[int] | None:
    """Return the passages that lead from the question to the answer, by index; None where none does.

    The first speaks of something that the question names (where it names nothing: shares three content words with it),
    each next one shares a name with the one before, and the last holds the answer.
    """
    named = anchors(question)
    about = Passage(question).content
    first = [
        at
        for at, passage in enumerate(passages)
        if any(map(passage.names_any_part, named)) or (not named and len(passage.content & about) >= 3)
    ]
    ways = [[at] for at in first]
    reached = set(first)
    for way in ways:
        if passages[way[-1]].holds(answer):
            return way
        for at, passage in enumerate(passages):
            if at not in reached and _joined(passages[way[-1]], passage):
                reached.add(at)
                ways.append([*way, at])
    return None


def _joined(one: Passage, other: Passage) -> bool:
    return any(map(other.holds, one.links)) or one.holds(other.subject)
