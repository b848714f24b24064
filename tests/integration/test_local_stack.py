"""The real broker and the real model server as supervised processes: they start, survive SIGKILL, and leave nothing."""

import http.client
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from limoflow.stack.jars import java_program
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, running, wait_until
from limoflow.stack.readiness import answers_http, serves_kafka
from limoflow.stack.triton import ServedModels, TritonServer

VENV_TRITON = Path(__file__).resolve().parents[2] / ".venv-triton"
ON_CI = os.environ.get("CI") == "true"
HANG_GUARD_S = 120.0

ECHO_CONFIG = """
name: "echo"
backend: "python"
max_batch_size: 8
input [ { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "ECHO" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
ECHO_MODEL = """
import echo_support
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("ECHO", echo_support.mark(text))]))
        return answers
"""
ECHO_SUPPORT = """
import os

import numpy


def mark(text):
    return numpy.char.add(text.astype(str), " from " + os.environ["ECHO_PLACE"]).astype(object)
"""

needs_kafka = [
    pytest.mark.kafka,
    pytest.mark.skipif(
        not ON_CI and (java_program() is None or not shutil.which("mvn")), reason="needs Java and Maven"
    ),
]
needs_triton = [
    pytest.mark.triton,
    pytest.mark.skipif(not ON_CI and not VENV_TRITON.is_dir(), reason="needs the Triton environment"),
]


def group_of(pid: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, fields = stat.read_text().rpartition(")")
        except OSError:
            continue
        state, _, group = fields.split()[:3]
        if int(group) == pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


class TestKafkaBroker:
    pytestmark = needs_kafka

    def test_it_starts_keeps_data_through_sigkill_and_other_ports_and_leaves_nothing(self, tmp_path: Path) -> None:
        from confluent_kafka import Consumer, Producer, TopicPartition
        from confluent_kafka.admin import AdminClient, NewTopic

        broker = KafkaBroker(tmp_path)
        quiet = {"bootstrap.servers": broker.bootstrap, "log_level": 0}
        with running(broker.spec()) as process:
            first = process.pid
            admin = AdminClient(quiet)
            admin.create_topics([NewTopic("kept", 1)])["kept"].result()
            producer = Producer({**quiet, "message.max.bytes": 20_000_000})
            producer.produce("kept", b"x" * 10_000_000, key=b"large")
            assert producer.flush(30) == 0

            os.kill(process.pid, signal.SIGKILL)
            assert wait_until(lambda: process.poll() is not None, HANG_GUARD_S)
            assert not serves_kafka(broker.port)
            process.start()
            assert wait_until(process.is_ready, HANG_GUARD_S)
            assert process.pid != first
            producer.produce("kept", b"small", key=b"after the kill")
            assert producer.flush(30) == 0
            pid = process.pid
        assert not group_of(pid)

        moved = KafkaBroker(tmp_path)
        with running(moved.spec()):
            assert moved.port != broker.port
            consumer = Consumer(
                {"bootstrap.servers": moved.bootstrap, "group.id": "reader", "fetch.message.max.bytes": 20_000_000}
            )
            consumer.assign([TopicPartition("kept", 0, 0)])
            records = consumer.consume(2, timeout=30)
            consumer.close()
        assert [record.key() for record in records] == [b"large", b"after the kill"]

    def test_an_unknown_topic_is_an_error(self, tmp_path: Path) -> None:
        from confluent_kafka import Producer

        broker = KafkaBroker(tmp_path)
        errors = []
        with running(broker.spec()):
            producer = Producer({"bootstrap.servers": broker.bootstrap, "message.timeout.ms": 3000, "log_level": 0})
            producer.produce("mispelt", b"x", on_delivery=lambda error, _: errors.append(error))
            producer.flush(20)
        assert len(errors) == 1
        assert errors[0] is not None


class TestTritonServer:
    pytestmark = needs_triton

    @pytest.fixture
    def server(self, tmp_path: Path) -> TritonServer:
        version = tmp_path / "repository" / "echo" / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(ECHO_MODEL)
        (version.parent / "config.pbtxt").write_text(ECHO_CONFIG)
        package = tmp_path / "elsewhere" / "echo_support"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(ECHO_SUPPORT)
        (package.parent / "numpy.py").write_text("raise ImportError('a neighbour of a shown package was imported')")
        models = ServedModels(version.parent.parent, ("echo",), (package,), {"ECHO_PLACE": "here"})
        return TritonServer(VENV_TRITON, models, tmp_path)

    def test_it_answers_and_leaves_no_process_and_no_shared_memory(self, server: TritonServer) -> None:
        with running(server.spec()) as process:
            assert self.ask(server, "hello") == "hello from here"
            assert self.regions(server)
            pid = process.pid
        assert not group_of(pid)
        assert not self.regions(server)
        assert not answers_http(server.http_port, "/v2/health/ready")

    def test_sigkill_takes_the_stub_along_and_the_next_start_answers(self, server: TritonServer) -> None:
        with running(server.spec()) as process:
            server_and_stub = group_of(process.pid)
            assert len(server_and_stub) >= 2
            os.kill(process.pid, signal.SIGKILL)
            assert wait_until(lambda: process.poll() is not None, HANG_GUARD_S)
            assert wait_until(lambda: not group_of(server_and_stub[0]), HANG_GUARD_S)
            assert not self.regions(server)
            process.start()
            assert wait_until(process.is_ready, HANG_GUARD_S)
            assert self.ask(server, "again") == "again from here"

    def test_regions_of_another_server_are_left_alone(self, server: TritonServer, tmp_path: Path) -> None:
        other = TritonServer(VENV_TRITON, ServedModels(tmp_path / "repository", ("echo",)), tmp_path / "other")
        foreign = Path("/dev/shm") / f"{other.shared_memory_prefix}kept"
        own = Path("/dev/shm") / f"{server.shared_memory_prefix}stale"
        foreign.touch()
        own.touch()
        try:
            process = ManagedProcess(server.spec())
            process.start()
            assert not own.exists()
            process.stop()
            assert foreign.exists()
        finally:
            foreign.unlink()

    @staticmethod
    def regions(server: TritonServer) -> list[Path]:
        return list(Path("/dev/shm").glob(f"{server.shared_memory_prefix}*"))

    @staticmethod
    def ask(server: TritonServer, text: str) -> str:
        tensor = {"name": "TEXT", "shape": [1, 1], "datatype": "BYTES", "data": [text]}
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
        connection.request("POST", "/v2/models/echo/infer", json.dumps({"inputs": [tensor]}))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["outputs"][0]["data"][0]
