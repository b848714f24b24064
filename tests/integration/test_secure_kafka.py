"""Services on a broker with TLS, passwords and access rules: the right ones work, the wrong ones get in nowhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType

from limoflow.audit import audit
from limoflow.errors import AccessDenied
from limoflow.progress_of import results_of, runs_of
from limoflow.stream.kafka_errors import connect, quiet
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.transaction import TransactionalWriter
from limoflow.stream.types import Emit
from schemas.topics import topics
from tests.support.local_flow import rows, write_lake
from tests.support.secure_kafka import ADMIN, USERS, SecureBroker, binding, change_password, secure_broker
from tests.support.services import GUARD_S, RUNNING, Place, place
from tests.support.stack import until

pytestmark = pytest.mark.kafka
ROWS = 40
PLANTED = {
    "LIMOFLOW_LOG_LEVEL": "DEBUG",
    "LIMOFLOW_CHAT_API_KEY": "sk-planted-chat-key",
    "AWS_SECRET_ACCESS_KEY": "planted/storage+key",
    "HTTPS_PROXY": "http://somebody:planted-proxy-password@127.0.0.1:9",
}
SECRETS = ("sk-planted-chat-key", "planted/storage+key", "planted-proxy-password")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    with secure_broker(tmp_path_factory.mktemp("secure")) as made:
        yield made


def last_line(log: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(log.splitlines()[-1])
    return found


def without_passwords(text: str, broker: SecureBroker) -> bool:
    return not [secret for secret in (*broker.passwords.values(), *SECRETS) if secret in text]


class _Echo(BaseHTTPRequestHandler):
    """A chat endpoint that refuses every request and repeats the key, as some do."""

    def do_POST(self) -> None:
        body = f'{{"error": "incorrect key: {self.headers["Authorization"]}"}}'.encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def spec(folder: Path, endpoint: str) -> Path:
    write_lake(folder, "rows.jsonl", [*rows(ROWS), b"no JSON"])
    path = folder / "run.yaml"
    wanted = {
        "name": "secure",
        "sources": [{"path": "lake/*", "domain": "mathematics"}],
        "score": {
            "ifd": None,
            "embedding": False,
            "judges": ["alpagasus"],
            "chat": {"base_url": endpoint, "model": "judge", "timeout_seconds": 20},
        },
        "select": {"target": 10},
        "export": {"formats": ["jsonl"]},
    }
    path.write_text(yaml.safe_dump(wanted), encoding="utf-8")
    return path


def test_a_run_passes_through_services_with_their_own_rights_and_waits_where_one_is_missing(
    tmp_path: Path, broker: SecureBroker, endpoint: str
) -> None:
    admin = connect(broker.settings(ADMIN))
    withheld = binding("generator", AclPermissionType.DENY, "Write", "topic", "samples.candidate", "literal")
    for made in admin.create_acls([withheld]).values():
        made.result()
    with place(tmp_path, broker.environment, PLANTED) as here:
        here.start(*RUNNING)
        submitted = here.limoflow("run", str(spec(tmp_path, endpoint)), "--detach")
        assert submitted.returncode == 0, submitted.stderr

        assert here.processes["generator"].wait(GUARD_S) == 2
        said = last_line(here.log("generator"))
        assert said["error_class"] == "AccessDenied"
        assert "'limoflow-generator'" in said["error"]
        assert "'samples.candidate'" in said["error"]

        for taken in admin.delete_acls([_exactly(withheld)]).values():
            taken.result()
        here.start("generator")
        followed = here.limoflow("run", str(tmp_path / "run.yaml"))
        assert followed.returncode == 0, followed.stderr + here.logs()
        assert "audit passed" in followed.stdout
        assert all(process.poll() is None for process in here.processes.values())
        said = [submitted.stdout, followed.stdout, followed.stderr, *_everything_said(here)]
        assert without_passwords("".join(said), broker)
        # What the brokers hold, what was exported, what was logged at DEBUG.
        topics_written = [*broker.folder.glob("kafka/data/[a-z]*-*/*.log")]
        written = [*topics_written, *(path for path in tmp_path.rglob("*") if path.is_file())]
        assert any(b"incorrect key: Bearer ***" in path.read_bytes() for path in topics_written), "no error to hide"
        for path in written:
            assert without_passwords(path.read_text("utf-8", "replace"), broker), path


def test_a_password_that_changes_in_the_middle_of_a_run_loses_nothing(tmp_path: Path, broker: SecureBroker) -> None:
    """One that reads in transactions and one that streams: their accounts get new passwords, then they get them too."""
    changed = ("ingestor", "scorer")
    transport = KafkaTransport(broker.settings("cli"))
    write_lake(tmp_path, "first.jsonl", rows(ROWS))
    source = {"path": "lake/*", "domain": "mathematics", "follow": True, "settle_seconds": 0}
    score = {"ifd": None, "embedding": False, "weights": {"quality": 1}}
    wanted = {"name": "rotated", "sources": [source], "score": score, "select": {"target": 10}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(wanted | {"export": {"formats": ["jsonl"]}}), encoding="utf-8")
    before = _count(transport, "samples.scored")
    with place(tmp_path, broker.environment) as here:
        here.start(*RUNNING)
        submitted = here.limoflow("run", "run.yaml", "--detach").stdout
        (run_id,) = re.findall(r"run (rotated-\w+) submitted", submitted)
        until(lambda: _count(transport, "samples.scored") >= before + ROWS, GUARD_S, "the first file")

        former = {user: change_password(broker, user) for user in changed}
        for user in changed:
            here.processes[user].terminate()
            assert here.processes[user].wait(GUARD_S) == 0, here.log(user)
        write_lake(tmp_path, "second.jsonl", rows(ROWS, start=ROWS))
        here.start("scorer", sasl_password=former["scorer"])
        assert here.processes["scorer"].wait(GUARD_S) == 2
        assert "refuses user 'limoflow-scorer'" in last_line(here.log("scorer"))["error"]

        here.start(*changed)
        until(lambda: _count(transport, "samples.scored") >= before + 2 * ROWS, GUARD_S, "the second file")
        assert here.limoflow("close", run_id).returncode == 0
        run = runs_of(transport)[run_id]
        until(lambda: results_of(transport, run_id).finished(run), GUARD_S, f"the release\n{here.logs()}")
        report = audit(transport.reader, run_id)
        assert report.passed
        assert (report.admitted, report.dead_lettered) == (2 * ROWS, {})
        said = "".join(map(here.log, here.processes))
        assert not [password for password in former.values() if password in said]
        assert without_passwords(said, broker)
    transport.close()


def _count(transport: KafkaTransport, topic: str) -> int:
    """Count the records of a topic, markers of transactions left out."""
    return sum(1 for _ in transport.reader.read([topic]))


def _everything_said(here: Place) -> Iterator[str]:
    """What the command line and the processes answer, all of it."""
    (run_id,) = re.findall(r"run (secure-\w+) submitted", here.limoflow("run", "run.yaml", "--detach").stdout)
    # The generator was stopped between a dead letter and its acknowledgement: the letter may stand there twice.
    (letter,) = {line.split()[0] for line in here.limoflow("dlq", "list", "--run", run_id).stdout.splitlines()}
    sample = json.loads(next((here.folder / "home" / "releases").rglob("*.jsonl")).read_text("utf-8").splitlines()[0])[
        "id"
    ]
    commands = ["status", f"audit {run_id}", f"explain {sample}", "dlq list", f"dlq show {letter}"]
    for command in (*commands, "release list", f"release show {run_id}"):
        done = here.limoflow(*command.split())
        assert done.returncode == 0, f"{command}: {done.stderr}"
        yield done.stdout + done.stderr
    yield here.limoflow("doctor").stdout
    yield here.limoflow("audit", "sk-planted-chat-key").stderr
    for port in here.ports.values():
        for path in ("healthz", "readyz", "metrics"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                yield answer.read().decode()


def _exactly(rule: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a wrong password": ({"sasl_password": "guessed-by-somebody"}, "refuses user 'limoflow-{user}'"),
    "a user that is not there": ({"sasl_username": "nobody"}, "refuses user 'nobody'"),
    "a mechanism that is not there": ({"sasl_mechanism": "PLAIN"}, "SCRAM-SHA-512"),
    "an unknown authority": ({"ssl_ca_location": None}, "unable to get local issuer certificate"),
    "an expired certificate": ({"bootstrap_servers": "EXPIRED"}, "certificate has expired"),
    "another host's certificate": ({"bootstrap_servers": "LOCALHOST"}, "not valid for 'localhost'"),
}


def _changes(broker: SecureBroker, case: str) -> dict[str, object]:
    places = {"EXPIRED": broker.expired, "LOCALHOST": broker.bootstrap.replace("127.0.0.1", "localhost")}
    return {name: places.get(str(value), value) for name, value in REFUSED[case][0].items()}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_credentials_are_refused_at_once_and_the_reason_is_said(case: str, broker: SecureBroker) -> None:
    for user in USERS if case == "a wrong password" else ("scorer",):
        with pytest.raises(AccessDenied) as refused:
            connect(broker.settings(user, **_changes(broker, case)))
        assert REFUSED[case][1].format(user=user) in str(refused.value)
        assert "\n" not in str(refused.value)
        assert "guessed-by-somebody" not in str(refused.value)


@pytest.mark.parametrize("case", ["a wrong password", "an expired certificate"])
def test_services_and_command_line_end_with_one_clear_line(case: str, tmp_path: Path, broker: SecureBroker) -> None:
    changes = _changes(broker, case)
    with place(tmp_path, broker.environment, PLANTED) as here:
        # One of each kind: a stage on Faust, a transactional task.
        here.start("generator", "exporter", **changes)
        told = here.limoflow("status", **changes)
        assert told.returncode == 2
        assert told.stderr.startswith("error: ")
        assert len(told.stderr.splitlines()) == 1
        assert REFUSED[case][1].format(user="cli") in told.stderr
        for service, process in here.processes.items():
            assert process.wait(GUARD_S) == 2, here.log(service)
            assert "Traceback" not in here.log(service)
            said = last_line(here.log(service))
            assert said["event"] == "ended"
            assert REFUSED[case][1].format(user=service) in said["error"]
        assert without_passwords("".join(map(here.log, here.processes)), broker)
        assert "guessed-by-somebody" not in "".join(map(here.log, here.processes))


def test_without_a_password_a_service_ends_with_one_clear_line(tmp_path: Path, broker: SecureBroker) -> None:
    with place(tmp_path, broker.environment, PLANTED) as here:
        environment = here.environment("exporter")
        del environment["LIMOFLOW_KAFKA_SASL_USERNAME"]
        command = [sys.executable, "-m", "services.exporter"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False)
        assert done.returncode == 2
        (line,) = done.stdout.decode().splitlines()
        assert "LIMOFLOW_KAFKA_SASL_USERNAME" in json.loads(line)["error"]
        assert without_passwords((done.stdout + done.stderr).decode(), broker)


@pytest.mark.parametrize("user", USERS)
def test_a_service_touches_only_its_topics(user: str, broker: SecureBroker) -> None:
    """What Kafka says of each topic is what topics.yaml says, and tries at all the others fail."""
    settings = broker.settings(user)
    readable, writable = _authorized(connect(settings), list(topics()))
    assert readable == {name for name, topic in topics().items() if user in topic.consumers}
    owned = {name for name, topic in topics().items() if user in topic.producers}
    assert writable >= owned
    if user != "cli":
        assert writable == owned
    assert _refused_writes(broker, user, set(topics()) - writable) == set(topics()) - writable
    assert _refused_reads(broker, user, set(topics()) - readable) == set(topics()) - readable


def _authorized(admin: object, names: list[str]) -> tuple[set[str], set[str]]:
    from confluent_kafka import TopicCollection

    described = admin.describe_topics(TopicCollection(names), include_authorized_operations=True)  # type: ignore[attr-defined]
    operations = {name: set(one.result().authorized_operations) for name, one in described.items()}
    return (
        {name for name, allowed in operations.items() if AclOperation.READ in allowed},
        {name for name, allowed in operations.items() if AclOperation.WRITE in allowed},
    )


def _refused_writes(broker: SecureBroker, user: str, names: set[str]) -> set[str]:
    refused = set()

    def delivered(error: KafkaError | None, message: object) -> None:
        if error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            refused.add(message.topic())  # type: ignore[attr-defined]

    producer = Producer(broker.settings(user).producer(error_cb=quiet))
    for name in names:
        producer.produce(name, b"planted", b"key", on_delivery=delivered)
    assert producer.flush(30.0) == 0
    return refused


def _refused_reads(broker: SecureBroker, user: str, names: set[str]) -> set[str]:
    consumer = Consumer(broker.settings(user).consumer(group_id=user, error_cb=quiet))
    consumer.assign([TopicPartition(name, 0, 0) for name in names])
    refused: set[str] = set()
    until(lambda: _heard(consumer, refused) >= names, 30.0, f"refusals of {sorted(names)}")
    consumer.close()
    return refused


def _heard(consumer: Consumer, refused: set[str]) -> set[str]:
    for message in consumer.consume(100, timeout=0.2):
        error = message.error()
        assert error is not None, f"{message.topic()} was read"
        if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            refused.add(str(message.topic()))
    return refused


def test_a_service_takes_no_name_of_another(broker: SecureBroker) -> None:
    settings = broker.settings("scorer")
    transport = KafkaTransport(settings)
    attempts: dict[str, Callable[[], object]] = {
        "'selector-0'": lambda: TransactionalWriter(settings, "selector-0", lambda: None),
        "group 'selector'": lambda: transport.offsets.committed("selector", "samples.scored"),
        "topic 'releases'": lambda: transport.sender.send([Emit("releases", b"k", b"v")]),
    }
    for named, attempt in attempts.items():
        began = time.monotonic()
        with pytest.raises(AccessDenied, match="gives user 'limoflow-scorer' no right") as refused:
            attempt()
        assert named in str(refused.value)
        assert time.monotonic() - began < settings.connect_timeout_s, "a refusal is not a timeout"
    transport.close()


def test_a_transaction_with_a_foreign_topic_ends_and_is_not_tried_for_ever(broker: SecureBroker) -> None:
    writer = TransactionalWriter(broker.settings("scorer"), "scorer-1", lambda: None)
    writer.write([Emit("samples.scored", b"k", b"v"), Emit("releases", b"k", b"v")])
    with pytest.raises(AccessDenied, match="no right"):
        writer.commit({}, None)
    writer.close()
    # Nobody waits for the transaction's timeout of minutes before he can read on.
    KafkaTransport(broker.settings("scorer")).sender.send([Emit("samples.scored", b"k", b"after")])
    reader = KafkaTransport(broker.settings("cli")).reader
    assert b"after" in {record.value for record in reader.read(["samples.scored"])}
    assert b"v" not in {record.value for record in reader.read(["releases", "samples.scored"])}
