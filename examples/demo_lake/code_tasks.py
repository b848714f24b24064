# ruff: noqa: E501, SIM905, ARG005, PLW0108 - a table reads best as one entry a line, all of one signature
"""Small Python tasks: an instruction with examples, a function in fenced code, and asserts as tests."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from examples.demo_lake.rows import Row, RowMaker, spin

_WORDS = (
    "amber bridge canyon delta ember forest glacier harbor island jungle kernel lantern meadow nectar orbit pebble quartz "
    "river saddle timber umbra valley willow xenon yonder zephyr level noon radar civic stats rotor kayak acorn banjo"
).split()
_SETTINGS = (
    "a sensor log|a shop's till|a chess club|a weather station|a library catalogue|a bus timetable|a seed bank|a mail "
    "sorter|a parking meter|a choir's song list|a tide gauge|a museum archive|a bakery ledger|a ski lift counter"
).split("|")
_USES = "report audit export preview digest ledger survey archive invoice roster catalog bulletin".split()


class Task(NamedTuple):
    """A function of one argument.

    `asked` says what to return, `body` is the code with ``{x}`` for the argument and ``{k}`` for the drawn number, and
    `solve` answers it in another way, for examples and tests.
    """

    name: str
    kind: str
    asked: str
    body: str
    solve: Callable[[Any, int], object]


TASKS = (
    Task("sum_multiples", "ints", "the sum of the [numbers|values] that are divisible by {k}", "return sum(v for v in {x} if v % {k} == 0)", lambda x, k: sum([v for v in x if not v % k])),
    Task("count_above", "ints", "how many [numbers|entries] are greater than {k}", "return sum(1 for v in {x} if v > {k})", lambda x, k: len([v for v in x if v > k])),
    Task("second_largest", "ints", "the second largest distinct number, or None if there is none", "distinct = sorted(set({x}))\nreturn distinct[-2] if len(distinct) > 1 else None", lambda x, k: sorted(set(x))[-2] if len(set(x)) > 1 else None),
    Task("rotate_left", "ints", "the list rotated to the left by {k} places", "if not {x}:\n    return []\nshift = {k} % len({x})\nreturn {x}[shift:] + {x}[:shift]", lambda x, k: [x[(i + k) % len(x)] for i in range(len(x))]),
    Task("chunked", "ints", "the list cut into consecutive chunks of {k} elements, the last one possibly shorter", "return [{x}[i : i + {k}] for i in range(0, len({x}), {k})]", lambda x, k: [x[i:][:k] for i in range(len(x)) if i % k == 0]),
    Task("running_total", "ints", "the list of running totals", "totals = []\ncurrent = 0\nfor v in {x}:\n    current += v\n    totals.append(current)\nreturn totals", lambda x, k: [sum(x[: i + 1]) for i in range(len(x))]),
    Task("unique_in_order", "ints", "the distinct elements in order of their first appearance", "seen = set()\nresult = []\nfor v in {x}:\n    if v not in seen:\n        seen.add(v)\n        result.append(v)\nreturn result", lambda x, k: list(dict.fromkeys(x))),
    Task("spread", "ints", "the difference between the largest and the smallest number, times {k}", "return (max({x}) - min({x})) * {k}", lambda x, k: k * (sorted(x)[-1] - sorted(x)[0])),
    Task("evens_then_odds", "ints", "all even numbers followed by all odd numbers, each group in the given order", "return [v for v in {x} if v % 2 == 0] + [v for v in {x} if v % 2]", lambda x, k: sorted(x, key=lambda v: v % 2)),
    Task("nth_smallest", "ints", "the smallest number that is at least {k}, or None", "candidates = [v for v in {x} if v >= {k}]\nreturn min(candidates) if candidates else None", lambda x, k: min([v for v in x if v >= k], default=None)),
    Task("pairs_with_sum", "ints", "how many pairs of positions i < j have numbers that add up to {k} times ten", "count = 0\nfor i in range(len({x})):\n    for j in range(i + 1, len({x})):\n        if {x}[i] + {x}[j] == {k} * 10:\n            count += 1\nreturn count", lambda x, k: sum(a + b == 10 * k for i, a in enumerate(x) for b in x[i + 1 :])),
    Task("clip_values", "ints", "the list with every number above {k} replaced by {k}", "return [min(v, {k}) for v in {x}]", lambda x, k: [k if v > k else v for v in x]),
    Task("longest_rise", "ints", "the length of the longest strictly increasing run of neighbours", "best = current = 1\nfor before, after in zip({x}, {x}[1:]):\n    current = current + 1 if after > before else 1\n    best = max(best, current)\nreturn best", lambda x, k: max(j - i for i in range(len(x)) for j in range(i + 1, len(x) + 1) if all(x[t] < x[t + 1] for t in range(i, j - 1)))),
    Task("every_nth", "ints", "every {k}th element, beginning with the first", "return {x}[::{k}]", lambda x, k: [v for i, v in enumerate(x) if i % k == 0]),
    Task("digit_total", "ints", "the sum of all decimal digits of all numbers", "return sum(int(digit) for v in {x} for digit in str(v))", lambda x, k: sum(int(d) for d in "".join(map(str, x)))),
    Task("drop_extremes", "ints", "a sorted copy without its smallest and its largest element", "return sorted({x})[1:-1]", lambda x, k: sorted(x)[1 : len(x) - 1]),
    Task("remainder_groups", "ints", "a dict from each remainder modulo {k} to the list of the numbers that leave it", "groups = {{}}\nfor v in {x}:\n    groups.setdefault(v % {k}, []).append(v)\nreturn groups", lambda x, k: {r: [v for v in x if v % k == r] for r in dict.fromkeys(v % k for v in x)}),
    Task("longest_word", "words", "the longest word, the first one if several are equally long", "return max({x}, key=len)", lambda x, k: sorted(x, key=lambda w: -len(w))[0]),
    Task("long_words", "words", "the words of more than {k} letters", "return [w for w in {x} if len(w) > {k}]", lambda x, k: list(filter(lambda w: len(w) > k, x))),
    Task("initials", "words", "the upper-case first letters joined into one string", "return ''.join(w[0].upper() for w in {x})", lambda x, k: "".join(w.title()[0] for w in x)),
    Task("by_length", "words", "a dict from word length to the number of words of that length", "counts = {{}}\nfor w in {x}:\n    counts[len(w)] = counts.get(len(w), 0) + 1\nreturn counts", lambda x, k: dict(Counter(len(w) for w in x))),
    Task("palindromes", "words", "those words that read the same backwards", "return [w for w in {x} if w == w[::-1]]", lambda x, k: [w for w in x if list(w) == list(reversed(w))]),
    Task("title_line", "words", "the words capitalised and joined by a dash", "return '-'.join(w.capitalize() for w in {x})", lambda x, k: "-".join(x).title()),
    Task("shift_words", "words", "the words with the first {k} letters of each moved to its end", "return [w[{k}:] + w[:{k}] for w in {x}]", lambda x, k: [w[k:] + w[:k] for w in x]),
    Task("vowel_total", "words", "the number of vowels (a, e, i, o, u) in all words", "return sum(letter in 'aeiou' for w in {x} for letter in w)", lambda x, k: len([c for c in "".join(x) if c in "aeiou"])),
    Task("sort_by_end", "words", "the words sorted by their last letter, then alphabetically", "return sorted({x}, key=lambda w: (w[-1], w))", lambda x, k: sorted(sorted(x), key=lambda w: w[-1])),
    Task("numbered", "words", "the words as strings such as '{k}. word', counting up from {k}", "return [f'{{number}}. {{w}}' for number, w in enumerate({x}, start={k})]", lambda x, k: [str(i + k) + ". " + w for i, w in enumerate(x)]),
    Task("compress", "text", "the run-length code of the text, each run written as the letter and its length", "if not {x}:\n    return ''\nparts = []\nrun = 1\nfor before, after in zip({x}, {x}[1:] + '\\0'):\n    if before == after:\n        run += 1\n    else:\n        parts.append(before + str(run))\n        run = 1\nreturn ''.join(parts)", lambda x, k: _run_length(x)),
    Task("caesar", "text", "the text with each lower-case letter moved {k} places on in the alphabet, wrapping round", "return ''.join(chr((ord(c) - 97 + {k}) % 26 + 97) if c.islower() else c for c in {x})", lambda x, k: "".join(_ALPHABET[(_ALPHABET.index(c) + k) % 26] if c in _ALPHABET else c for c in x)),
    Task("letter_rank", "text", "the {k} most frequent characters as a list, ties in alphabetical order", "return sorted(set({x}), key=lambda c: (-{x}.count(c), c))[:{k}]", lambda x, k: [c for c, _ in sorted(Counter(x).items(), key=lambda p: (-p[1], p[0]))][:k]),
    Task("mirror", "text", "the text followed by its reverse, repeated {k} times", "return ({x} + {x}[::-1]) * {k}", lambda x, k: "".join([x, "".join(reversed(x))] * k)),
    Task("mask_text", "text", "the text with all but its last {k} characters replaced by '*'", "hidden = max(0, len({x}) - {k})\nreturn '*' * hidden + {x}[hidden:]", lambda x, k: "".join(c if i >= len(x) - k else "*" for i, c in enumerate(x))),
)  # fmt: skip

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"

_KEEP: tuple[tuple[str, str, Callable[[int, int], bool]], ...] = (
    ("are even", "v % 2 == 0", lambda v, k: not v & 1),
    ("are odd", "v % 2 == 1", lambda v, k: bool(v & 1)),
    ("exceed {k}", "v > {k}", lambda v, k: k < v),
    ("leave no remainder on division by {k}", "v % {k} == 0", lambda v, k: v // k * k == v),
    ("differ from {k}", "v != {k}", lambda v, k: not v == k),  # noqa: SIM201 - another way than the task's own code
    ("have two digits", "10 <= v <= 99", lambda v, k: len(str(v)) == 2),
    ("end in a digit below five", "v % 10 < 5", lambda v, k: str(v)[-1] in "01234"),
)
_CHANGE: tuple[tuple[str, str, Callable[[int, int], int]], ...] = (
    ("square each of them", "v * v", lambda v, k: v**2),
    ("double each of them", "2 * v", lambda v, k: v + v),
    ("add {k} to each", "v + {k}", lambda v, k: k + v),
    ("take each modulo seven", "v % 7", lambda v, k: v - v // 7 * 7),
    ("multiply each by {k}", "v * {k}", lambda v, k: k * v),
    ("halve each, rounding down", "v // 2", lambda v, k: v >> 1),
    ("subtract each from one hundred", "100 - v", lambda v, k: -v + 100),
)
_FINISH: tuple[tuple[str, str, Callable[[list[int]], object]], ...] = (
    ("return their sum", "sum(chosen)", lambda v: sum(v)),
    (
        "return the largest, or None when nothing is left",
        "max(chosen, default=None)",
        lambda v: sorted(v)[-1] if v else None,
    ),
    ("return them in descending order", "sorted(chosen, reverse=True)", lambda v: sorted(v)[::-1]),
    ("return how many different values there are", "len(set(chosen))", lambda v: len(Counter(v))),
    ("return them as one string joined by commas", "','.join(str(v) for v in chosen)", lambda v: ",".join(map(str, v))),
    ("return the list backwards", "chosen[::-1]", lambda v: list(reversed(v))),
)


def _run_length(text: str) -> str:
    runs: list[list[str]] = []
    for letter in text:
        if runs and runs[-1][0] == letter:
            runs[-1].append(letter)
        else:
            runs.append([letter])
    return "".join(f"{run[0]}{len(run)}" for run in runs)


def _argument(kind: str, random_source: random.Random) -> list[int] | list[str] | str:
    if kind == "ints":
        return [random_source.randint(1, 99) for _ in range(random_source.randint(5, 8))]
    if kind == "words":
        return random_source.sample(_WORDS, random_source.randint(4, 6))
    letters = random_source.sample(_ALPHABET, 5)
    return "".join(random_source.choice(letters) * random_source.randint(1, 3) for _ in range(6))


def _row(task: Task, template: str, random_source: random.Random) -> Row:
    k = random_source.randint(2, 9)
    use, setting = random_source.choice(_USES), random_source.choice(_SETTINGS)
    name = spin(f"{task.name}_[for|in|of]_{use}", random_source)
    x = random_source.choice(
        {"ints": ["values", "numbers", "readings"], "words": ["words", "labels", "names"]}.get(
            task.kind, ["text", "line", "message"]
        )
    )
    cases = [_argument(task.kind, random_source) for _ in range(4)]
    answers = [task.solve(case, k) for case in cases]
    what = {
        "ints": "a non-empty list of positive whole numbers",
        "words": "a non-empty list of lower-case words",
        "text": "a string of lower-case letters",
    }[task.kind]
    asked = spin(task.asked, random_source).format(k=k)
    opening = spin(
        f"[Write|Implement|Please define|Create] a Python function `{name}({x})` [for|used by|that serves] {setting}. ",
        random_source,
    )
    goal = (
        asked
        if asked.startswith("Keep")
        else spin(
            f"[Given {what}[ in `{x}`|], it returns|It takes {what} and returns|From {what} it makes] {asked}.",
            random_source,
        )
    )
    shown = f" For example, `{name}({cases[0]!r})` gives `{answers[0]!r}`, and `{name}({cases[1]!r})` gives `{answers[1]!r}`."
    body = "\n".join(f"    {line}" for line in task.body.format(x=x, k=k).split("\n"))
    before = spin(f"[Here is|This is|Below is] [one|a short|a plain] [way|solution] for {setting}:", random_source)
    after = spin("[Called with|For] `{}` it [returns|gives|yields] `{}`[, as the {} needs|].", random_source)
    return Row(
        template=template,
        language="en",
        instruction=opening + goal + shown,
        response=f"{before}\n\n```python\ndef {name}({x}):\n{body}\n```\n\n{after.format(repr(cases[2]), repr(answers[2]), use)}",
        tests=tuple(
            f"assert {name}({case!r}) == {answer!r}" for case, answer in zip(cases[1:], answers[1:], strict=True)
        ),
        entry_point=name,
    )


def _single(task: Task) -> RowMaker:
    return lambda random_source: _row(task, f"code-{task.name}", random_source)


def _pipeline(random_source: random.Random) -> Row:
    keep, condition, kept = random_source.choice(_KEEP)
    change, changed_code, changed = random_source.choice(_CHANGE)
    finish, finish_code, finished = random_source.choice(_FINISH)
    task = Task(
        spin("[pick|refine|process|boil_down]", random_source),
        "ints",
        f"Keep only those of the positive whole numbers it is given that {keep}, {change}, and {finish}.",
        f"chosen = [{changed_code} for v in {{x}} if {condition}]\nreturn {finish_code}",
        lambda x, k: finished([changed(v, k) for v in x if kept(v, k)]),
    )
    return _row(task, "code-pipeline", random_source)


MAKERS: tuple[RowMaker, ...] = tuple(_single(task) for task in TASKS) + (_pipeline,) * 12
