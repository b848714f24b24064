"""Answers in words, and choices."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_CHOICE = re.compile(r"\(?\s*([A-H])\s*(?:[).:、](?:\s.*)?)?")
_FORMULA = re.compile(r"[\d+*/=<>|^_{}\[\]\\√±']|(?:^|\s)-|-\S+$(?<=-[a-z])|(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_MEANINGS = (
    {"yes", "true", "correct", "right", "是", "是的", "对", "正确"},
    {"no", "false", "incorrect", "wrong", "否", "不是", "错", "错误", "不对"},
    {"undefined", "dne", "does not exist", "not defined", "不存在", "无意义", "未定义"},
    {"all real numbers", "all reals", "全体实数", "任意实数"},
    {"impossible", "not possible", "cannot be determined", "不可能"},
)
_HAN = re.compile(r"[\u4e00-\u9fff]")
_EMPTY = ("no solution", "no solutions", "no real solution", "no real solutions", "empty set", "无解", "没有解", "空集")
NO_SOLUTION = "\0no solution"
_MEANING = {word: f"\0{min(words)}" for words in _MEANINGS for word in words} | dict.fromkeys(_EMPTY, NO_SOLUTION)
_NUMBERS = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|half)\b"
)


@dataclass(frozen=True, slots=True)
class Words:
    """What is said in words; `choice` is the letter where it is one of A to H."""

    said: str
    choice: str
    text: str


def read_words(text: str) -> Words | None:
    """Return the words of a tidied text; None where it holds anything of a formula."""
    if (choice := _CHOICE.fullmatch(text)) is not None:
        return Words(text, choice[1], text)
    if _FORMULA.search(text):
        return None
    said = " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
    # Numbers in English words are not read, so nothing is certain of them.
    return Words(_MEANING.get(said, said), "", text) if said and not _NUMBERS.search(said) else None


def content_of(words: Words) -> str:
    """Return what stands behind the letter of a choice; empty where nothing does."""
    match = _CHOICE.fullmatch(words.text) if words.choice else None
    return re.sub(r"^\(?\s*[A-H]\s*[).:、]*", "", words.text).strip() if match else ""


def same_words(gold: Words, found: Words) -> bool | None:
    """Tell whether two say the same; None for letters in another order, which may be a product."""
    if gold.choice and found.choice:
        return gold.choice == found.choice
    if gold.said == found.said:
        return True
    if bool(gold.choice) != bool(found.choice):
        # "(B) Paris" names a choice, and what it says.
        option, other = (gold, found) if gold.choice else (found, gold)
        inside = read_words(content_of(option))
        return inside is not None and same_words(inside, other) if content_of(option) else False
    if bool(_HAN.search(gold.said)) != bool(_HAN.search(found.said)):
        # Monday may be 星期一.
        return None
    product = len(gold.said) <= 3 and sorted(gold.said.casefold()) == sorted(found.said.casefold())
    return None if product else False
