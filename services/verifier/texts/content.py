"""What a text is about: stems, names and numbers, in English and Chinese. [own]."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from services.verifier.texts.languages import function_words

LONGEST = 20_000
_STEM = 5
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN_RUN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]{2,}")
_NUMBER = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\d)\.\d+")
_CAPITALISED = r"[A-ZÀ-ÖØ-Þ][\w'’.-]*[\w]|[A-Z]"
_NAME = re.compile(rf"(?<!\w)(?:{_CAPITALISED})(?:\s(?:(?:of|the|de|von|van|la|le|du|da)\s){{0,2}}(?:{_CAPITALISED}))*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'“(]?[A-Z0-9])|(?<=[。！？；])|\n+")
_COMMON = function_words("en") | frozenset(
    ("used", "uses", "using", "total", "with", "from", "they", "have", "since", "let", "thus", "hence", "therefore")
)
_COMMON_HAN = frozenset(
    "的了是在有和与及或不我你他她它们这那个一为以对可能会应需要进行请什么如何怎是否哪些因此其该等中时后前上下于由从被把将到并也都就还而且但"
)
_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBER_WORDS = {word: Decimal(value) for value, word in enumerate(re.findall(r"\w+", _SPELLED))} | {
    "half": Decimal(2),
    "third": Decimal(3),
    "quarter": Decimal(4),
    "twice": Decimal(2),
    "double": Decimal(2),
    "dozen": Decimal(12),
    "hundred": Decimal(100),
}


def stems(text: str) -> frozenset[str]:
    """Return the first five letters of each content word of at least four letters; parts of identifiers are words."""
    parts = _WORD.findall(_HUMP.sub(" ", text[:LONGEST]))
    words = (part.casefold() for part in parts if len(part) > 3)
    return frozenset(word[:_STEM] for word in words if word not in _COMMON)


def han(text: str) -> frozenset[str]:
    """Return the Chinese characters, without those of grammar."""
    return frozenset(_HAN.findall(text[:LONGEST])) - _COMMON_HAN


def pairs(text: str) -> frozenset[str]:
    """Return the pairs of neighbouring Chinese characters in which none is of grammar."""
    runs = _HAN_RUN.findall(text[:LONGEST])
    made = (run[at : at + 2] for run in runs for at in range(len(run) - 1))
    return frozenset(pair for pair in made if not _COMMON_HAN.intersection(pair))


def numbers(text: str) -> frozenset[Decimal]:
    """Return the numbers of a text, in digits or as an English word up to twenty."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST])
    found = {_decimal(match[0]) for match in _NUMBER.finditer(plain)}
    spelled = {_NUMBER_WORDS[word] for word in map(str.casefold, _WORD.findall(plain)) if word in _NUMBER_WORDS}
    return frozenset(value for value in found | spelled if value is not None)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace(",", "")[:40]).normalize()
    except InvalidOperation:
        return None


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences and lines of a text, without blank ones."""
    for part in _SENTENCE.split(text[:LONGEST]):
        if part and part.strip():
            yield part.strip()


def names(text: str) -> list[str]:
    """Return the runs of capitalised words; a sentence's first word is one only as part of a longer run."""
    found = []
    for sentence in sentences(text):
        for match in _NAME.finditer(sentence):
            words = match[0].split()
            first = not sentence[: match.start()].strip(" \"'“(")
            while words and (words[0].casefold() in _COMMON or (first and len(words) == 1)):
                words, first = words[1:], False
            if words and any(len(word) > 1 for word in words):
                found.append(" ".join(words))
    return found
