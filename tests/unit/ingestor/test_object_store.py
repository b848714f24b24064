"""Sources on S3, over HTTP: a server of its protocol on the loopback, with users and rights."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from limoflow.errors import DependencyUnavailable
from limoflow.stream.dead_letters import read_dead_letter
from schemas.run import RunSpec, Source
from services.ingestor.files import Files
from services.ingestor.preflight import check_sources
from tests.unit.ingestor.ingest_log import Clock, Log, Worker
from tests.unit.ingestor.test_ingest_bad_input import ingest, jsonl, make_run

SECRET = "a-secret-that-nobody-may-read"
FIELDS = {"instruction": "question", "response": "answer"}
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
START_S = 60.0


def row(number: int) -> dict[str, str]:
    return {"question": f"q{number} {'x' * 200}", "answer": "a"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def post(address: str, data: bytes) -> None:
    plain = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(address, data, plain, method="POST")).close()


@pytest.fixture(scope="module", autouse=True)
def no_proxy() -> Iterator[None]:
    """Speak with the loopback directly, whatever stands between this machine and the world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str, str]]:
    """Yield the address of a store, and the key and the secret of its user."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + START_S
        while not is_open(port):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        access = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
        users = boto3.client("iam", endpoint_url=address, **access)
        users.create_user(UserName="lake")
        users.put_user_policy(UserName="lake", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
        key = users.create_access_key(UserName="lake")["AccessKey"]
        boto3.client("s3", endpoint_url=address, **access).create_bucket(Bucket="lake")
        post(f"{address}/moto-api/reset-auth", b"0")
        yield address, key["AccessKeyId"], key["SecretAccessKey"]
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def store(server: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give this process the store's address and the user's key, as a service has them; yield its filesystem."""
    address, key, secret = server
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clear()
    yield fsspec.filesystem("s3", skip_instance_cache=True)
    clear()


def clear() -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def test_lines_packed_or_not_arrays_and_tables_are_read_from_a_bucket(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMOFLOW_INGESTOR_MAX_UNPACKED_BYTES", str(64 << 20))
    rows = [row(number) for number in range(3000)]
    store.pipe("lake/in/a.jsonl", jsonl(*rows))
    store.pipe("lake/in/deep/b.jsonl.gz", gzip.compress(jsonl(*rows)))
    store.pipe("lake/in/c.json", json.dumps(rows).encode())
    store.pipe("lake/in/_hidden.jsonl", b"{}")
    with store.open("lake/in/d.parquet", "wb") as stream:
        pq.write_table(pa.Table.from_pylist(rows), stream, row_group_size=500)
    log = ingest("s3://lake/in/**/*.jsonl*")
    assert [sample.lineage.source_ref for sample in log.samples()] == [
        f"{name}#{number}" for name in ("a.jsonl", "deep/b.jsonl.gz") for number in range(3000)
    ]
    for name in ("c.json", "d.parquet"):
        log = ingest(f"s3://lake/in/{name}")
        assert [sample.instruction for sample in log.samples()] == [one["question"] for one in rows]
        assert not log.letters()
    assert len({*Files().units(Source(path="s3://lake/in"))}) == 4
    assert check_sources(make_run({"path": "s3://lake/in"}).spec) == []


def test_reading_goes_on_where_it_stopped(store: Any) -> None:
    store.pipe("lake/on/a.jsonl", jsonl(*[row(number) for number in range(100)]))
    store.pipe("lake/on/b.jsonl.gz", gzip.compress(jsonl(*[row(number) for number in range(100, 200)])))
    run, log = make_run({"path": "s3://lake/on/*", "fields": FIELDS}), Log()
    for _ in range(4):
        Worker(log, run, Clock(), batch_rows=33).step()
    Worker(log, run, Clock()).drain()
    assert [sample.instruction for sample in log.samples()] == [row(number)["question"] for number in range(200)]


def test_a_followed_folder_gives_objects_that_appear_and_waits_for_one_that_grows(store: Any) -> None:
    store.pipe("lake/new/a.jsonl", jsonl(row(0)))
    source = {"path": "s3://lake/new/*.jsonl", "fields": FIELDS, "follow": True, "settle_seconds": 5}
    log, clock = Log(), Clock()
    worker = Worker(log, make_run(source), clock).drain()
    store.pipe("lake/new/a.jsonl", jsonl(row(0), row(1)))
    clock.now += 4
    worker.drain()
    store.pipe("lake/new/b.jsonl", jsonl(row(2)))
    clock.now += 4
    worker.drain()
    assert not log.samples(), "the first has grown"
    clock.now += 6
    worker.drain()
    assert [sample.instruction for sample in log.samples()] == [row(number)["question"] for number in range(3)]


@pytest.mark.parametrize("path", ["s3://lake/in/*.jsonl", "s3://lake/in/a.jsonl", "s3://lake/in"])
def test_a_wrong_key_is_told_without_it(store: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    store.pipe("lake/in/a.jsonl", jsonl(row(0)))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    clear()
    said = refusal(path)
    assert "s3://lake/in" in said
    assert SECRET not in said
    assert any(word in said for word in ("signature", "Forbidden", "Access Denied"))


def test_no_key_at_all_is_told(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    clear()
    assert "credentials" in refusal("s3://lake/in/*.jsonl")


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_told() -> None:
    assert "s3://nowhere/in" in refusal("s3://nowhere/in/*.jsonl")


def test_a_store_that_does_not_answer_is_an_outage(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    clear()
    with pytest.raises(DependencyUnavailable, match="does not answer"):
        Files().units(Source(path="s3://lake/in/*.jsonl"))


def refusal(path: str) -> str:
    """Return why a run with this source is refused: what its only dead letter says, and what is heard before."""
    log = ingest(path)
    assert not log.samples()
    (letter,) = log.letters()
    assert log.window_ends()[-1].last
    (problem,) = check_sources(RunSpec.model_validate({"name": "r", "sources": [{"path": path}]}))
    return f"{read_dead_letter(letter).error}\n{problem}"
