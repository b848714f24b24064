"""The faults that are planted in the lake: how a good row is spoilt, and how to count what got through."""

import json
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

from examples.demo_lake.arithmetic import decimal_text
from examples.demo_lake.rows import Row
from examples.demo_lake.similarity import jaccard, shingles
from examples.demo_lake.sql_tasks import run_query

RowRef = tuple[str, int]
"""A row of the lake: its file relative to the lake, with forward slashes, and its 0-based number there."""

FAULT_KINDS = (
    "wrong_answer",
    "mismatched_answer",
    "exact_duplicate",
    "near_duplicate",
    "truncated",
    "broken_json",
    "not_utf8",
    "personal_data",
)
_DUPLICATES = ("exact_duplicate", "near_duplicate")
_STEP = re.compile(r"<<([^<>=]+)=([\d.]+)>>([\d.]*\d)")
_FINAL = re.compile(r"#### (.+)$")
_NEAR = 0.8
_SYNONYMS = (
    ("How many", "How much"), ("altogether", "together"), ("Explain", "Describe"), ("List", "Name"), ("Sort", "Order"),
    ("Python function", "Python routine"), ("average", "mean"), ("total", "overall"),
    ("gives", "returns"), ("whose", "where"), ("Write", "Code"), ("Correct", "Fix"), ("Summarise", "Sum up"),
    ("It is a", "It was a"), ("Because", "As"), ("列出", "写出"), ("判断", "说说"), ("如果", "假如"),
    ("一共", "总共"), ("多少", "几"), ("请", "请你"),
    ("恢复正常", "恢复"), ("通知", "公告"), ("买了", "购买了"),
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes
    ----------
    file, row
        Where it is: the file relative to the lake, and the 0-based line (JSONL), record (CSV) or row (Parquet).
    fault
        One of `FAULT_KINDS`.
    domain
        The domain of the row.
    detail
        What was done, in words.
    of
        For duplicates, where the original is.
    """

    file: str
    row: int
    fault: str
    domain: str
    detail: str
    of: RowRef | None = None

    def to_json(self) -> str:
        """Return the fault as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Fault":
        """Read what `to_json` wrote."""
        parsed = json.loads(line)
        of = parsed["of"]
        return cls(**parsed | {"of": (of[0], of[1]) if of else None})


def read_faults(path: Path) -> list[Fault]:
    """Read the side file of a lake."""
    return [Fault.from_json(line) for line in path.read_text(encoding="utf-8").splitlines()]


def planted_in_release(faults: Iterable[Fault], released: Iterable[RowRef]) -> Counter[str]:
    """Count the planted faults that reached a release, by kind.

    A duplicate has reached it only when the original and the copy are both in the release.

    Parameters
    ----------
    faults
        What was planted.
    released
        The file (relative to the lake) and row number that each released sample came from.
    """
    present = set(released)
    return Counter(
        fault.fault
        for fault in faults
        if (fault.file, fault.row) in present
        and (fault.fault not in _DUPLICATES or (fault.of is not None and fault.of in present))
    )


def give_wrong_answer(row: Row, random_source: random.Random) -> tuple[Row, str]:
    """Spoil the result of one step of a worked answer, or its final answer."""
    steps = list(_STEP.finditer(row.response))
    more = random_source.randint(1, 9)
    if random_source.random() < 0.4:
        wrong = decimal_text(Fraction(row.reference) + more)
        return replace(
            row, response=_FINAL.sub(f"#### {wrong}", row.response)
        ), f"final answer {wrong}, right is {row.reference}"
    step = random_source.choice(steps)
    expression, right = step.group(1), step.group(2)
    wrong = decimal_text(Fraction(right) + more)
    spoilt = row.response[: step.start()] + f"<<{expression}={wrong}>>{wrong}" + row.response[step.end() :]
    return replace(row, response=spoilt), f"step {expression}={wrong}, right is {right}"


def take_foreign_answer(row: Row, others: Sequence[Row], random_source: random.Random) -> tuple[Row, str]:
    """Answer with the response of a row of another template, in the same language and with another reference.

    Raises
    ------
    ValueError
        No such row exists: the lake is too small.
    """
    fitting = [
        other
        for other in others
        if other.template != row.template
        and other.language == row.language
        and (not row.reference or other.reference != row.reference)
    ]
    if not fitting:
        raise ValueError(f"no row with another answer than {row.template}'s among {len(others)}: ask for more rows")
    other = random_source.choice(fitting)
    return replace(row, response=other.response), f"the answer belongs to a question of {other.template}"


def _unfinished(row: Row, cut: int) -> bool:
    """Return whether the response, cut there, shows that it is not whole."""
    text = row.response
    if row.schema:
        try:
            run_query(row.schema, text[:cut])
        except sqlite3.Error:
            return True
        return False
    if row.tests:
        return text.index("```python\n") + 14 < cut < text.rindex("```")
    if "####" in text:
        return cut < text.index("\n####")
    return text[cut - 1].isalpha() and text[cut].isalpha()


def cut_off(row: Row, random_source: random.Random) -> tuple[Row, str]:
    """Cut the response where it is visibly not finished: no final answer, an open code fence, half a word or query.

    Raises
    ------
    ValueError
        The response cannot be cut so.
    """
    length = len(row.response)
    cuts = list(range(max(1, length // 4), length * 4 // 5))
    random_source.shuffle(cuts)
    cut = next((cut for cut in cuts if _unfinished(row, cut)), None)
    if cut is None:
        raise ValueError(f"the answer {row.response!r} cannot be cut so that it shows: change template {row.template}")
    return replace(row, response=row.response[:cut]), f"cut after {cut} of {length} characters"


def _edits(text: str) -> list[tuple[str, str]]:
    """Return the light edits of a text, each with its name."""
    chinese = bool(re.search(r"[\u4e00-\u9fff]", text))
    edits = [
        ("opening", ("请问：" if chinese else "Hello. ") + text),
        ("closing", text + ("谢谢！" if chinese else " Thank you!")),
        ("end mark", text[:-1] + ("！" if chinese else " ...") if text[-1] in ".?。？" else text),
        ("commas", text.replace("，", " ") if chinese else re.sub(r",(?= [a-z])", "", text)),
        ("letter case", text[0].lower() + text[1:]),
    ]
    edits += [(f"'{old}' became '{new}'", text.replace(old, new, 1)) for old, new in _SYNONYMS if old in text]
    return [(name, edited) for name, edited in edits if edited != text]


def reword(row: Row, random_source: random.Random) -> tuple[Row, str]:
    """Edit the instruction lightly: numbers stay, and at least 0.8 of the 5-word shingles (Jaccard)."""
    edits = _edits(row.instruction)
    random_source.shuffle(edits)
    if random_source.random() < 0.6:
        edits.sort(key=lambda edit: not edit[0].startswith("'"))
    original = shingles(row.instruction)
    name, edited = next(edit for edit in edits if jaccard(original, shingles(edit[1])) >= _NEAR)
    return replace(row, instruction=edited), f"edited: {name}"


def identity_number(random_source: random.Random) -> str:
    """Return a made-up Chinese identity number (GB 11643-1999) with a right check digit, of somebody born in 1900."""
    digits = f"110101190001{random_source.randint(1, 28):02d}{random_source.randint(0, 999):03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11
    return digits + "10X98765432"[rest]


def add_personal_data(row: Row, random_source: random.Random) -> tuple[Row, str]:
    """Insert a made-up e-mail address, telephone number or identity number into the instruction or a plain answer."""
    number = random_source.randint(100, 199)
    email = f"{random_source.choice(['rosa.lind', 'j.okoro', 'mail.tester', 'li.demo'])}{number}@example.com"
    if row.language == "zh":
        kind, sentence = random_source.choice(
            [
                ("email", f"我的邮箱是{email}。"),
                ("chinese mobile", f"我的手机号是138001{random_source.randint(0, 99999):05d}。"),
                ("chinese identity number", f"我的身份证号是{identity_number(random_source)}。"),
            ]
        )
    else:
        kind, sentence = random_source.choice(
            [
                ("email", f"My address is {email}. "),
                ("phone", f"Call me at +1 (212) 555-0{number}. "),
                ("chinese identity number", f"My ID card number is {identity_number(random_source)}. "),
            ]
        )
    plain = not (row.reference or row.tests or row.schema)
    if plain and random_source.random() < 0.5:
        return replace(row, response=sentence + row.response), f"{kind} in the answer"
    return replace(row, instruction=sentence + row.instruction), f"{kind} in the instruction"


def break_json(line: bytes, random_source: random.Random) -> tuple[bytes, str]:
    """Return a line of JSON that no parser accepts."""
    text = line.decode()
    how = random_source.choice(("cut", "brace", "quote", "bare"))
    match how:
        case "cut":
            text = text[: len(text) * random_source.randint(30, 80) // 100]
        case "brace":
            text = text[:-1]
        case "quote":
            text = text.replace('": "', '": ', 1)
        case "bare":
            text = text.replace('": "', '": " " ', 1)
    return text.encode(), f"broken by: {how}"


def break_utf8(line: bytes, random_source: random.Random) -> tuple[bytes, str]:
    """Return a line with bytes that are not UTF-8: as a GBK or Latin-1 writer, or a flipped bit, leaves them."""
    text = line.decode()
    if any("\u4e00" <= letter <= "\u9fff" for letter in text):
        return text.encode("gbk"), "written as GBK"
    if random_source.random() < 0.5:
        return text.replace("e", "é", 3).encode("latin-1", "replace"), "written as Latin-1"
    place = random_source.randint(len(line) // 3, len(line) - 3)
    return line[:place] + b"\xff\xfe" + line[place:], "stray bytes"
