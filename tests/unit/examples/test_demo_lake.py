import csv
import json
import random
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from examples.demo_lake import FAULT_KINDS, Fault, planted_in_release, read_faults
from examples.demo_lake.__main__ import main
from examples.demo_lake.arithmetic import evaluate
from examples.demo_lake.faults import identity_number
from examples.demo_lake.lake import FAULTS_FILE, FOLDERS, build_lake
from examples.demo_lake.similarity import jaccard, shingles
from examples.demo_lake.sql_tasks import run_query

ROWS = 6000
STEP = re.compile(r"(\S+) = <<([^<>=]+)=([\d.]+)>>([\d.]*\d)")
COLUMNS = {part.name: part.columns for part in FOLDERS}


def read_raw(lake: Path) -> dict[tuple[str, int], bytes | dict]:
    """Every row of the lake by (file, row), as an ordinary reader counts them; JSONL lines as bytes."""
    rows: dict[tuple[str, int], bytes | dict] = {}
    for path in sorted(lake.glob("*/*")):
        name = path.relative_to(lake).as_posix()
        if path.suffix == ".jsonl":
            records = path.read_bytes().removesuffix(b"\n").split(b"\n")
        elif path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                records = list(csv.DictReader(file))
        else:
            records = pq.read_table(path).to_pylist()
        rows |= {(name, number): record for number, record in enumerate(records)}
    return rows


def parsed(reference: tuple[str, int], record: bytes | dict) -> dict:
    """A record under the names of the sample's fields."""
    values = json.loads(record.decode()) if isinstance(record, bytes) else record
    return {attribute: values[column] for column, attribute in COLUMNS[reference[0].split("/")[0]].items()}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    build_lake(folder, ROWS, seed=7)
    return folder


@pytest.fixture(scope="module")
def faults(lake: Path) -> list[Fault]:
    return read_faults(lake / FAULTS_FILE)


@pytest.fixture(scope="module")
def raw(lake: Path) -> dict:
    return read_raw(lake)


@pytest.fixture(scope="module")
def clean(raw: dict, faults: list[Fault]) -> dict:
    faulty = {(fault.file, fault.row) for fault in faults}
    return {ref: parsed(ref, record) for ref, record in raw.items() if ref not in faulty}


def of_folder(rows: dict, *names: str) -> list[dict]:
    return [row for (file, _), row in rows.items() if file.split("/")[0] in names]


def faulty_rows(raw: dict, faults: list[Fault], kind: str) -> list[tuple[Fault, dict]]:
    return [(f, parsed((f.file, f.row), raw[f.file, f.row])) for f in faults if f.fault == kind]


def wrong_steps(response: str) -> list[str]:
    return [
        m.group()
        for m in STEP.finditer(response)
        if not (evaluate(m.group(2), {}) == Fraction(m.group(3)) == Fraction(m.group(4)))
    ]


def final_answer(response: str) -> str:
    return response.rpartition("#### ")[2]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        build_lake(tmp_path / name, 600, seed)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 13, "12 data files and the labels; no drafts"
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    assert all((tmp_path / "a" / f).read_bytes() != (tmp_path / "c" / f).read_bytes() for f in files)


def test_a_lake_built_over_an_older_one_replaces_it(tmp_path: Path) -> None:
    build_lake(tmp_path / "fresh", 600, 1)
    build_lake(tmp_path / "reused", 900, 2)
    build_lake(tmp_path / "reused", 600, 1)
    assert read_raw(tmp_path / "fresh") == read_raw(tmp_path / "reused")


def test_size_shares_and_languages(raw: dict, clean: dict) -> None:
    assert len(raw) == ROWS
    for part in FOLDERS:
        assert sum(file.startswith(part.name + "/") for file, _ in raw) == round(ROWS * part.share)
    languages = Counter(row["language"] for row in of_folder(clean, "general"))
    assert languages["en"] > 700
    assert languages["zh"] > 350
    assert all(re.search(r"[\u4e00-\u9fff]", row["instruction"]) for row in of_folder(clean, "mathematics_zh"))
    assert not any(re.search(r"[\u4e00-\u9fff]", row["instruction"]) for row in of_folder(clean, "mathematics", "code"))


def test_fault_counts_by_kind(faults: list[Fault]) -> None:
    assert 0.12 * ROWS <= len(faults) <= 0.15 * ROWS
    counts = Counter(fault.fault for fault in faults)
    assert set(counts) == set(FAULT_KINDS)
    bounds = {"broken_json": (30, 60), "not_utf8": (15, 40)}
    for kind, count in counts.items():
        low, high = bounds.get(kind, (80, 180))
        assert low <= count <= high, (kind, count)
    places = [(fault.file, fault.row) for fault in faults]
    assert len(set(places)) == len(places), "one fault a row"
    assert not {fault.of for fault in faults} & set(places), "originals are clean"


def test_clean_arithmetic_is_right(clean: dict) -> None:
    rows = of_folder(clean, "mathematics", "mathematics_zh")
    assert len(rows) > 2000
    steps = Counter()
    for row in rows:
        found = STEP.findall(row["response"])
        steps[len(found)] += 1
        assert wrong_steps(row["response"]) == []
        assert len(found) == row["response"].count("<<")
        assert all(shown.lstrip("$").endswith(expression) for shown, expression, _, _ in found)
        assert final_answer(row["response"]) == row["reference"] == found[-1][2]
        assert Fraction(row["reference"]) > 0
        assert not re.search(r"[{}\[\]|]", row["instruction"] + row["response"]), "a template slot is left"
    assert set(steps) == {1, 2, 3, 4, 5}


def test_templates_are_many(clean: dict) -> None:
    makers = {part.name: [makers for _, makers in part.makers] for part in FOLDERS}
    assert len(makers["mathematics"][0]) >= 25
    assert len(makers["mathematics_zh"][0]) >= 15
    assert len(set(makers["code"][0])) >= 30
    assert len({row["entry_point"] for row in of_folder(clean, "code")}) > 200


RUN_TESTS = """
import json, re, sys
failures = []
for row in json.load(sys.stdin):
    names = {}
    try:
        exec(re.search(r"```python\\n(.*)```", row["response"], re.S).group(1), names)
        assert callable(names[row["entry_point"]])
        for test in row["tests"]:
            exec(test, names)
    except Exception as error:
        failures.append([row["instruction"], repr(error)])
print(json.dumps(failures))
"""


def failing_code(rows: list[dict]) -> list[list[str]]:
    """Run each row's code and tests (of our own templates) in another process; return those that fail."""
    command = [sys.executable, "-I", "-c", RUN_TESTS]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


def test_clean_code_passes_its_tests_and_foreign_code_fails(raw: dict, faults: list[Fault], clean: dict) -> None:
    rows = of_folder(clean, "code")
    assert len(rows) > 700
    assert all(len(row["tests"]) == 3 for row in rows)
    assert failing_code(rows) == []
    foreign = [row for fault, row in faulty_rows(raw, faults, "mismatched_answer") if fault.domain == "code"]
    assert foreign
    assert len(failing_code(foreign)) == len(foreign)


def test_clean_sql_runs_and_returns_the_expected_rows(clean: dict) -> None:
    rows = of_folder(clean, "sql")
    assert len(rows) > 700
    for row in rows:
        assert run_query(row["schema"], row["response"]) == row["reference"]
        assert row["response"].endswith(";")
    assert any("\n" in row["schema"] for row in rows)


def test_clean_general_answers_are_finished(clean: dict) -> None:
    for row in of_folder(clean, "general"):
        assert row["response"][-1] in ".。|}", row
        assert row["instruction"].strip() == row["instruction"]


def test_wrong_answers_are_wrong(raw: dict, faults: list[Fault]) -> None:
    rows = faulty_rows(raw, faults, "wrong_answer")
    for _, row in rows:
        final_is_wrong = final_answer(row["response"]) != row["reference"]
        assert final_is_wrong != bool(wrong_steps(row["response"])), row
    assert {fault.detail.split()[0] for fault, _ in rows} == {"step", "final"}


def test_mismatched_answers_belong_elsewhere(raw: dict, faults: list[Fault], clean: dict) -> None:
    responses = {row["response"] for row in clean.values()}
    for fault, row in faulty_rows(raw, faults, "mismatched_answer"):
        assert row["response"] in responses, "the answer is a good one, of another row"
        if fault.domain == "mathematics":
            assert final_answer(row["response"]) != row["reference"]


def test_duplicates_point_at_their_originals(raw: dict, faults: list[Fault]) -> None:
    for fault, row in faulty_rows(raw, faults, "exact_duplicate"):
        assert fault.of is not None
        assert parsed(fault.of, raw[fault.of]) == row
    for fault, row in faulty_rows(raw, faults, "near_duplicate"):
        assert fault.of is not None
        original = parsed(fault.of, raw[fault.of])
        assert original["instruction"] != row["instruction"]
        assert original | {"instruction": ""} == row | {"instruction": ""}
        assert re.findall(r"\d+", original["instruction"]) == re.findall(r"\d+", row["instruction"])
        assert jaccard(shingles(original["instruction"]), shingles(row["instruction"])) >= 0.8


def test_truncated_answers_show_it(raw: dict, faults: list[Fault]) -> None:
    for fault, row in faulty_rows(raw, faults, "truncated"):
        response = row["response"]
        match fault.file.split("/")[0]:
            case "code":
                assert response.count("```") == 1
            case "sql":
                with pytest.raises(sqlite3.Error):
                    run_query(row["schema"], response)
            case "general":
                assert response[-1].isalpha()
            case _:
                assert "####" not in response


def test_broken_lines_are_broken(raw: dict, faults: list[Fault]) -> None:
    ways = set()
    for fault in faults:
        line = raw[fault.file, fault.row]
        if fault.fault == "broken_json":
            ways.add(fault.detail)
            text = line.decode()
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)
        elif fault.fault == "not_utf8":
            ways.add(fault.detail)
            with pytest.raises(UnicodeDecodeError):
                line.decode()
    assert len(ways) == 7


def check_digit_is_right(number: str) -> bool:
    values = [10 if digit == "X" else int(digit) for digit in number]
    return sum(value * 2 ** (17 - place) for place, value in enumerate(values)) % 11 == 1


def test_personal_data_is_there_and_only_there(raw: dict, faults: list[Fault], clean: dict) -> None:
    patterns = {
        "email": r"[\w.]+@example\.com",
        "phone": r"\+1 \(212\) 555-0\d{3}",
        "chinese mobile": r"(?<!\d)1380\d{7}(?!\d)",
        "chinese identity number": r"(?<!\d)\d{17}[\dX]",
    }
    kinds = set()
    for fault, row in faulty_rows(raw, faults, "personal_data"):
        kind, _, where = fault.detail.partition(" in the ")
        found = re.search(patterns[kind], row["instruction" if where == "instruction" else "response"])
        assert found, (fault, row)
        assert kind != "chinese identity number" or check_digit_is_right(found.group())
        kinds.add((kind, where))
    assert {kind for kind, _ in kinds} == set(patterns)
    assert {where for _, where in kinds} == {"instruction", "answer"}
    anything = re.compile("|".join(patterns.values()))
    assert not any(anything.search(row["instruction"] + row["response"]) for row in clean.values())


def test_identity_numbers_have_a_right_check_digit() -> None:
    numbers = {identity_number(random.Random(seed)) for seed in range(200)}
    assert all(re.fullmatch(r"\d{17}[\dX]", n) and check_digit_is_right(n) for n in numbers)
    assert any(n.endswith("X") for n in numbers)


@pytest.mark.parametrize("whole", [False, True], ids=["instruction", "instruction and response"])
def test_clean_rows_are_rarely_near_duplicates(clean: dict, whole: bool) -> None:
    texts = [shingles(row["instruction"] + " " + (row["response"] if whole else "")) for row in clean.values()]
    holders: dict[str, list[int]] = {}
    near = 0
    for number, text in enumerate(texts):
        # Two sets with a Jaccard similarity of 0.7 share 70 % of either: one of the rarest 31 % is among the shared.
        rare = sorted(text, key=lambda shingle: len(holders.get(shingle, ())))[: len(text) * 31 // 100 + 1]
        candidates = {other for shingle in rare for other in holders.get(shingle, ())}
        near += any(jaccard(text, texts[other]) >= 0.7 for other in candidates)
        for shingle in text:
            holders.setdefault(shingle, []).append(number)
    assert near / len(texts) < 0.005


def test_planted_in_release_counts_what_got_through() -> None:
    faults = [
        Fault("a.jsonl", 1, "wrong_answer", "mathematics", ""),
        Fault("a.jsonl", 2, "wrong_answer", "mathematics", ""),
        Fault("a.jsonl", 3, "exact_duplicate", "mathematics", "", ("b.jsonl", 9)),
        Fault("a.jsonl", 4, "near_duplicate", "mathematics", "", ("b.jsonl", 10)),
        Fault("a.jsonl", 5, "near_duplicate", "mathematics", "", ("b.jsonl", 11)),
    ]
    released = [("a.jsonl", 1), ("a.jsonl", 3), ("b.jsonl", 9), ("a.jsonl", 4), ("b.jsonl", 11), ("c.jsonl", 2)]
    assert planted_in_release(faults, iter(released)) == Counter(wrong_answer=1, exact_duplicate=1)
    assert planted_in_release(faults, []) == Counter()


def test_side_file_holds_what_was_planted(tmp_path: Path) -> None:
    assert build_lake(tmp_path, 600, 5) == read_faults(tmp_path / FAULTS_FILE)


def test_command_line_writes_a_lake_and_refuses_too_few_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "lake"), "--rows", "700", "--seed", "2"]) == 0
    assert "700 rows" in capsys.readouterr().out
    assert main([str(tmp_path / "small"), "--rows", "50"]) == 2
    assert "at least 600" in capsys.readouterr().err
    assert not (tmp_path / "small").exists()


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main([str(tmp_path / "file"), "--rows", "600"]) == 1
    assert "was not written" in capsys.readouterr().err
