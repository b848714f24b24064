from __future__ import annotations

import subprocess
import sys

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

from limoflow.errors import ExportError, UsageError
from schemas.base import digest
from schemas.sample import Message
from services.exporter.app import check_formats, write_release
from services.exporter.formats import load_formats
from services.exporter.rows import ReleaseData
from services.exporter.writing import write_release as write_data
from tests.unit.exporter.exporter_cases import SAMPLES, SECRET_OF_THE_TEST, a_release, a_sample, log_of, tree

RELEASE = a_release(SAMPLES)
LOAD = """
import sys, datasets
table = datasets.load_dataset(sys.argv[1], split="train")
print(table.num_rows, table[2]["id"], table[2]["metadata"][:1], table[0]["messages"][0]["role"])
"""


@pytest.fixture
def folder(tmp_path):
    return write_release(RELEASE, log_of(RELEASE, SAMPLES), tmp_path)


def test_jsonl_holds_every_sample_in_order_with_unknown_fields_and_without_embedding_and_timing(folder):
    lines = [orjson.loads(line) for line in (folder / "samples.jsonl").read_bytes().splitlines()]
    assert [line["id"] for line in lines] == [sample.id for sample in SAMPLES]
    assert lines[0]["unknown_field"] == "kept"
    assert lines[3]["metadata"]["verification"]["results"]["sums"] == {"verdict": "pass", "version": "1"}
    assert lines[3]["metadata"]["advanced_assessment"] == {"ifd_score": 0.25}


def test_no_file_holds_an_embedding(folder):
    assert not [name for name, content in tree(folder).items() if SECRET_OF_THE_TEST.encode() in content]
    column = pq.read_table(folder / "samples.parquet", columns=["metadata"])["metadata"]
    assert SECRET_OF_THE_TEST not in "".join(column.to_pylist())


def test_parquet_is_flat_and_keeps_all_metadata_as_json(folder):
    rows = pq.read_table(folder / "samples.parquet").to_pylist()
    row = rows[2]
    assert (row["id"], row["rank"], row["score"], row["stratum"]) == ("id-002", 2, 0.98, "code/easy")
    assert (row["response_quality"], row["ifd_score"], row["verified"]) == (0.5, 0.25, True)
    assert (row["run_id"], row["window"], row["source_ref"]) == ("run-1", 3, "sums.jsonl#2")
    assert row["safety_score"] is None
    assert orjson.loads(row["metadata"])["lineage"]["source_ref"] == "sums.jsonl#2"


def test_chat_keeps_the_turns_before(tmp_path):
    turns = [("system", "Be brief."), ("user", "old"), ("assistant", "older"), ("user", "?"), ("assistant", "!")]
    messages = [Message(role=role, content=content) for role, content in turns]
    chat = a_sample(1).model_copy(update={"messages": messages, "instruction": "?", "response": "!"})
    release = a_release([chat, SAMPLES[2]])
    folder = write_release(release, log_of(release, [chat, SAMPLES[2]]), tmp_path, ["chat"])
    first, second = [orjson.loads(line) for line in (folder / "chat.jsonl").read_bytes().splitlines()]
    assert [(turn["role"], turn["content"]) for turn in first["messages"]] == turns
    assert [turn["role"] for turn in second["messages"]] == ["user", "assistant"]
    assert second["messages"][1]["content"] == SAMPLES[2].response


def test_alpaca_is_one_json_array(folder):
    rows = orjson.loads((folder / "alpaca.json").read_bytes())
    assert rows == [{"instruction": s.instruction, "input": "", "output": s.response} for s in SAMPLES]


def test_the_manifest_file_is_the_canonical_manifest(folder):
    assert (folder / "manifest.json").read_bytes() == RELEASE.manifest()


def test_export_json_names_every_other_file_with_its_hash(folder):
    described = orjson.loads((folder / "export.json").read_bytes())
    files = {name: digest(content) for name, content in tree(folder).items() if name != "export.json"}
    assert described["files"] == files
    assert set(described["formats"]) == {"alpaca", "chat", "huggingface", "jsonl", "parquet"}
    assert described["sizes"]["alpaca.json"] == (folder / "alpaca.json").stat().st_size


def test_the_same_release_gives_the_same_bytes(tmp_path):
    slower = [
        sample.model_copy(deep=True, update={"metadata": a_sample(index).metadata.model_copy(deep=True)})
        for index, sample in enumerate(SAMPLES)
    ]
    for sample in slower:
        sample.metadata.verification.results["sums"].seconds = 99.0
    one = write_release(RELEASE, log_of(RELEASE, SAMPLES), tmp_path / "one")
    two = write_release(RELEASE, log_of(RELEASE, slower), tmp_path / "two")
    assert tree(one) == tree(two)


@pytest.mark.parametrize("inside", ["", "huggingface"])
def test_the_folder_loads_with_datasets_offline(folder, tmp_path, inside, monkeypatch):
    for name, value in {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    told = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder / inside)], capture_output=True, text=True, timeout=200, check=False
    )
    assert told.stdout == "7 id-002 { user\n", told.stderr


def test_an_empty_release_is_exported_too(tmp_path):
    release = a_release([])
    folder = write_release(release, log_of(release, []), tmp_path)
    assert pq.read_table(folder / "huggingface/data/train-00000-of-00001.parquet").num_rows == 0
    assert orjson.loads((folder / "alpaca.json").read_bytes()) == []
    assert "n<1K" in (folder / "README.md").read_text()


def test_the_card_tells_counts_funnel_strata_licences_versions_and_spec(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["language"] == ["en"]
    assert "rows: 7 of a target of 9" in text
    assert "**2 rows fewer than the target survived.**" in text
    assert "| rejected: verifier/wrong_sum | 31 |" in text
    assert "| code/easy | 2 | 4 |" in text
    assert "| sums.jsonl | Apache-2.0 | 7 |" in text
    assert "| model ifd | tiny@1 |" in text
    assert yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]) == RELEASE.spec


def test_the_card_says_where_licences_are_missing(tmp_path):
    mixed = [a_sample(0), a_sample(1, licence=None, source="pipe | name")]
    release = a_release(mixed)
    text = (write_release(release, log_of(release, mixed), tmp_path) / "README.md").read_text()
    assert yaml.safe_load(text.split("---\n")[1])["license"] == "other"
    assert "| pipe \\| name | not stated | 1 |" in text


def test_unknown_formats_are_named_with_the_nearest_known():
    assert check_formats(["jsonl", "parquet"]) == []
    problem, other = check_formats(["parkuet", "zzz"])
    assert "'parkuet'" in problem
    assert "did you mean 'parquet'?" in problem
    assert "'zzz'" in other
    with pytest.raises(UsageError, match="parkuet"):
        load_formats(["parkuet"])


def test_an_installed_plug_in_is_found_and_one_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    (tmp_path / "shouting.py").write_text(
        "def write(data, target):\n"
        "    with target.open('loud/rows.txt') as file:\n"
        "        for sample in data.rows:\n"
        "            file.write(sample.response.upper().encode())\n"
    )
    metadata = tmp_path / "shouting-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[limoflow.formats]\nloud = shouting:write\ngone = shouting:missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert check_formats(["loud"]) == []
    folder = write_release(RELEASE, log_of(RELEASE, SAMPLES), tmp_path / "out", ["loud"])
    assert orjson.loads((folder / "export.json").read_bytes())["formats"] == {"loud": ["loud/rows.txt"]}
    with pytest.raises(UsageError, match=r"'gone'.*cannot be loaded"):
        load_formats(["gone"])


@pytest.mark.parametrize("path", ["../out.txt", "/etc/out.txt", "", "a/../../b"])
def test_a_format_cannot_write_outside_the_folder(tmp_path, path):
    def escaping(data, target):
        with target.open(path) as file:
            file.write(b"out")

    with pytest.raises(ExportError, match="leaves the release folder"):
        write_data(ReleaseData(RELEASE, SAMPLES), tmp_path / "release", {"escaping": escaping})
    assert list(tmp_path.iterdir()) == []


def test_two_formats_cannot_share_a_file(tmp_path):
    def same(data, target):
        with target.open("rows") as file:
            file.write(b"1")

    with pytest.raises(ExportError, match="written twice"):
        write_data(ReleaseData(RELEASE, SAMPLES), tmp_path / "release", {"a": same, "b": same})
