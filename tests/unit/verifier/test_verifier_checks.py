from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sample import Metadata, Reference, Sample
from services.verifier.answers import final_answer, same
from services.verifier.checks import Finding
from services.verifier.code_static import CodeStatic
from services.verifier.math_answer import MathAnswer
from services.verifier.math_steps import MathSteps
from services.verifier.privacy import Privacy, is_chinese_id, is_luhn, personal_data
from services.verifier.sql_static import SqlStatic
from services.verifier.text_format import TextFormat


def sample(response: str, instruction: str = "Do it.", domain: str = "mathematics", **reference: Any) -> Sample:
    known = Reference(**reference) if reference else None
    return Sample(id="s", instruction=instruction, response=response, metadata=Metadata(domain=domain, reference=known))


def reason(finding: Finding | None) -> str | None:
    return None if finding is None or finding.verdict == "pass" else f"{finding.verdict}:{finding.reason}"


PROSE = "The river rises in the north. It then crosses the plain, where three towns lie on its banks, and turns east. "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "fail:empty_response"),
        (" \n ", "fail:empty_response"),
        ("fine", None),
        ("caf\ufffd", "fail:damaged_encoding"),
        ("It is the cafÃ© of his mother.", "fail:damaged_encoding"),
        ("itâ€™s", "fail:damaged_encoding"),
        ("São Paulo, naïve café, Ärger, 完整的句子。", None),
        ("a\x00b", "fail:control_character"),
        ("a\tb\r\nc", None),
        ("no " * 200, "fail:repetition"),
        ("哈哈" * 100, "fail:repetition"),
        ("```python\nprint(1)", "fail:unclosed_fence"),
        ("```python\nprint(1)\n```", None),
        ("Let \\(x = 3", "fail:unclosed_latex"),
        ("\\begin{align} x", "fail:unclosed_latex"),
        ("$$x = 3$$", None),
        (PROSE + "At the mouth of the river there is a harbour, which was built by the", "fail:unfinished_sentence"),
        (PROSE + "At the mouth of the river there is a harbour,", "fail:unfinished_sentence"),
        (PROSE + "At the mouth of the river there is a harbour.", None),
        (PROSE + "\n- boats\n- nets", None),
        ("- Boats carry us.\n- Nets catch fi", "fail:unfinished_sentence"),
        ("负面。优点：电", "fail:unfinished_sentence"),
        ("负面。优点是电池。", None),
        ("十二个", None),
        (PROSE + "\n#### 72", None),
        ("A short answer without a full stop", None),
    ],
)
def test_text_that_is_empty_damaged_repeating_or_cut_off_fails(text: str, expected: str | None) -> None:
    assert reason(TextFormat().check(sample(text, domain="general"), {})) == expected


def test_an_empty_instruction_fails_and_code_needs_no_full_stop() -> None:
    assert reason(TextFormat().check(sample("a", instruction=" "), {})) == "fail:empty_instruction"
    code = PROSE + "\nx = 1\nreturn x and the"
    assert TextFormat().check(sample(code, domain="code"), {}).verdict == "pass"


@given(st.text(), st.text())
def test_no_text_breaks_a_check(instruction: str, response: str) -> None:
    one = sample(response, instruction=instruction, answer="5")
    for check in (TextFormat(), Privacy(), CodeStatic(), MathSteps()):
        check.check(one, {})
    final_answer(response)
    same(instruction, response)


def checksummed(first: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return first + "10X98765432"[sum(int(a) * b for a, b in zip(first, weights, strict=True)) % 11]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to anna.berg@posteo.de", ["email"]),
        ("write to anna@example.com", []),
        ("我的邮箱是anna.berg@posteo.de。", ["email"]),
        ("call 13912345678 now", ["chinese_mobile"]),
        ("拨打13912345678。", ["chinese_mobile"]),
        ("2 * 13912345678 = 27824691356", []),
        ("手机 139-1234-5678，或 139 1234 5678", ["chinese_mobile"]),
        ("电话１３９１２３４５６７８，邮箱 anna＠posteo．de", ["email", "chinese_mobile"]),
        ("+1 139 1234 5678 9012 and 3.139 1234 5678", []),
        ("call +12127365000, or 212.736.5000", ["phone"]),
        ("x = 5+12127365000 and (a)+12127365000", []),
        ("call (212) 736-5000", ["phone"]),
        ("call 212-555-0123", []),
        ("card 4111 1111 1111 1111", ["bank_card"]),
        ("card 4111 1111 1111 1112", []),
        ("id " + checksummed("11010519900307231"), ["chinese_id"]),
        ("id " + checksummed("11010519901307231"), []),
        ("_anna.berg@posteo.de_, version 8.8.8.8", ["email"]),
        ("from 8.8.8.8 to 192.168.0.1", ["ip_address"]),
        ("only 192.168.0.1 and version 1.2.3.4.5", []),
        ("key sk-" + "a1B2" * 8, ["api_key"]),
        ("3.14159265358979 and 123456789012345678 and 1,234,567", []),
        ("2024-01-15, 100-200-300, 12/05/2020", []),
    ],
)
def test_personal_data_is_found_and_numbers_are_left_alone(text: str, kinds: list[str]) -> None:
    assert list(personal_data(text, reserved=False)) == kinds
    finding = Privacy().check(sample(text, domain="general"), {"reserved": False})
    assert reason(finding) == (f"fail:{kinds[0]}" if kinds else None)


@pytest.mark.parametrize(("text", "kind"), [("to anna@example.com", "email"), ("call +1 (212) 555-0123", "phone")])
def test_what_is_reserved_for_examples_counts_in_prose_and_not_in_code(text: str, kind: str) -> None:
    assert reason(Privacy().check(sample(text, domain="general"), {})) == f"fail:{kind}"
    assert reason(Privacy().check(sample(text, domain="general"), {"reserved": False})) is None
    assert reason(Privacy().check(sample(text, domain="code"), {})) is None


def test_only_the_wanted_kinds_fail() -> None:
    one = sample("write to anna.berg@posteo.de")
    assert Privacy().check(one, {"kinds": ["phone"]}).verdict == "pass"


@given(st.integers(0, 9), st.integers(0, 16), st.text("0123456789", min_size=15, max_size=15))
def test_checksums_catch_any_single_wrong_digit(change: int, at: int, digits: str) -> None:
    check = next(str(digit) for digit in range(10) if is_luhn(digits + str(digit)))
    whole = digits + check
    at = at % len(whole)
    assert is_luhn(whole[:at] + str(change) + whole[at + 1 :]) == (whole[at] == str(change))
    identity = checksummed("11010519900307231")
    other = identity[:16] + str(change) + identity[17:]
    assert is_chinese_id(other) == (other == identity)


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ("```python\ndef f(x):\n    return x\n```", "f", None),
        ("```python\ndef f(x)\n    return x\n```", None, "fail:syntax_error"),
        ("def f(x):\n    return (x", None, "fail:syntax_error"),
        ("def g(x):\n    return x", "f", "fail:entry_point_missing"),
        ("f = lambda x: x\nimport os", "f", "nothing"),
        ("def f():\n    return " + "(" * 3000 + ")" * 3000, None, "any"),
        ("def f():\n    " + "x" * 200_000, None, "unknown:too_long"),
        ("#include <stdio.h>\nint main() {\n return 0;\n}", None, "nothing"),
        ("def f(a)\n  puts a\nend", None, "nothing"),
        ("Use a list.", None, "nothing"),
    ],
)
def test_python_must_parse_and_define_its_entry_point(text: str, entry: str | None, expected: str | None) -> None:
    finding = CodeStatic().check(sample(text, domain="code", entry_point=entry), {})
    if expected == "nothing":
        assert finding is None
    elif expected == "any":
        assert finding is not None
        assert finding.verdict in {"fail", "unknown"}
    else:
        assert finding is not None
        assert reason(finding) == expected


def test_code_is_never_executed(tmp_path: Any) -> None:
    mark = tmp_path / "ran"
    CodeStatic().check(sample(f"```python\nopen({str(mark)!r}, 'w').close()\n```", domain="code"), {})
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("48/2 = <<48/2=24>>24\n#### 24", None),
        ("48/2 = <<48/2=25>>25\n#### 25", "fail:wrong_step"),
        ("so 48 + 24 = 73.", "fail:wrong_step"),
        ("48/2 = <<48/2=24>>24\n#### 99", "fail:answer_not_derived"),
        ("48/2 = <<48/2=24>>24\n24-2 = <<24-2=22", "fail:unclosed_note"),
        ("He pays $0.25 + $0.25 = <<0.25+0.25=0.5>>0.50\n#### 50", None),
    ],
)
def test_wrong_steps_fail(text: str, expected: str | None) -> None:
    finding = MathSteps().check(sample(text), {})
    assert finding is not None
    assert reason(finding) == expected


def test_shifts_and_streams_of_code_are_no_notes() -> None:
    stream = sample('std::cout << "x = " << x << std::endl;', domain="code")
    assert not MathSteps().applies(stream)
    assert MathSteps().check(stream, {}) is None


def test_an_answer_without_steps_is_not_judged_by_them() -> None:
    assert MathSteps().check(sample("It is 5."), {}) is None


@pytest.mark.parametrize(
    ("gold", "response", "expected"),
    [
        ("72", "24 + 48 = 72\n#### 72", None),
        ("72", "so\n#### 1,072", "fail:answer_differs"),
        ("1/2", "The answer is 0.5.", None),
        ("0.5", "The answer is 50%.", None),
        ("1,200", "\\boxed{1200}", None),
        ("18", "答案是 18 元。", None),
        ("18", "答案是 19 元。", "fail:answer_differs"),
        ("Paris", "The answer is paris.", None),
        ("B", "The answer is (C).", "fail:answer_differs"),
        ("12", "First he buys 5 and then", "fail:no_final_answer"),
        ("12", "First he buys some and then", "fail:no_final_answer"),
        ("12", "5 and 7 make 12", None),
        ("long text #### 7", "#### 7", None),
        ("3.33", "#### 10/3", None),
        ("-4", "#### -4", None),
        ("4", "#### -4", "fail:answer_differs"),
    ],
)
def test_final_answers_are_compared_without_a_worker_where_that_is_certain(
    gold: str, response: str, expected: str | None
) -> None:
    finding = MathAnswer().check(sample(response, answer=gold), {})
    assert isinstance(finding, Finding)
    assert reason(finding) == expected


def test_same_is_unsure_about_algebra() -> None:
    assert same("x^2", "x*x") is None
    assert same("x+1", "y+1") is None
    assert same("1", "x + 1") is None


SCHEMA = "CREATE TABLE trees (name TEXT, years INTEGER, park TEXT);"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name FROM trees WHERE years > 5 ORDER BY name;", None),
        ("```sql\nSELECT park, COUNT(*) FROM trees GROUP BY park\n```", None),
        ("SELECT name FROM trees WHERE ye", "fail:no_such_column"),
        ("SELECT name FROM films", "fail:no_such_table"),
        ("SELECT park, COUNT(*) FROM trees GROUP BY", "fail:incomplete"),
        ("SELECT COUNT(", "fail:incomplete"),
        ("SELECT name FROM trees LIMIT 5 FETCH ROWS", "unknown:not_understood"),
        ("SELECT madeup(years) FROM trees", "unknown:not_understood"),
        ("SELECT load_extension('x') FROM trees", "unknown:not_understood"),
        ("ATTACH DATABASE 'x.db' AS y", "unknown:not_understood"),
        ("WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM t) SELECT * FROM t", None),
    ],
)
def test_sql_must_fit_its_schema_and_is_never_run(
    query: str, expected: str | None, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    finding = SqlStatic().check(sample(query, domain="sql", schema=SCHEMA), {})
    assert finding is not None
    assert reason(finding) == expected
    assert not list(tmp_path.iterdir())


def test_a_schema_that_is_not_understood_proves_nothing() -> None:
    odd = "CREATE TYPE mood AS ENUM ('sad');"
    assert SqlStatic().check(sample("SELECT 1 FROM x", domain="sql", schema=odd), {}) is None
    attached = "ATTACH DATABASE 'y.db' AS y;"
    assert SqlStatic().check(sample("SELECT 1", domain="sql", schema=attached), {}) is None
    assert not SqlStatic().applies(sample("SELECT 1", domain="sql"))


@pytest.mark.parametrize(
    ("response", "wrong"),
    [
        ("They lose 5 thousand dollars a day, so the losses are 5 * 3 = $15,000.", False),
        ("They lose 5 dollars a day, so the losses are 5 * 3 = $15,000.", True),
        ("It lasts her 14 / 1 / 4 = 14 * 4 = 56 washes.", False),
        ("It lasts her 14 / 1 / 4 = 14 * 5 = 70 washes.", True),
    ],
)
def test_steps_are_read_as_people_write_them(response: str, wrong: bool) -> None:
    assert reason(MathSteps().check(sample(response), {})) == ("fail:wrong_step" if wrong else None)
