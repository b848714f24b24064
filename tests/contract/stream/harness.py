"""The same contract on two transports: in this process, and on a real broker with real worker processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.local import LocalTransport
from limoflow.stream.local_runner import LocalRunner
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.topics_admin import ensure_topics
from limoflow.stream.types import Emit, Record, Transport
from schemas.topics import Topic
from tests.contract.stream.handlers import HANDLERS, Steered
from tests.contract.stream.worker import POLICY

REPOSITORY = Path(__file__).resolve().parents[3]
GUARD_S = 90.0
_numbers = itertools.count()


def fresh(prefix: str) -> str:
    """Return a name that no other test uses."""
    return f"{prefix}-{os.getpid()}-{time.time_ns()}-{next(_numbers)}"


class Harness:
    """Runs workers on a transport, several of one name sharing its partitions, and looks at what they leave behind."""

    transport: Transport

    def create(self, topic: str, partitions: int = 4, *, compact: bool = False) -> str:
        """Create a topic and return its name."""
        raise NotImplementedError

    def start(self, handler: str, workers: int = 1, **arguments: Any) -> str:
        """Start workers of a handler and return its name."""
        raise NotImplementedError

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds; fail when a worker ends or it takes too long."""
        raise NotImplementedError

    async def crash(self, name: str) -> None:
        """Kill all workers of a name with SIGKILL, and start them anew."""
        raise NotImplementedError

    async def stop(self, name: str) -> None:
        """Stop them as SIGTERM does."""
        raise NotImplementedError

    async def fails(self, name: str) -> None:
        """Wait until they have ended with a failure."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything."""
        raise NotImplementedError

    def flow(self, partitions: int = 4) -> tuple[str, str, str]:
        """Return a stage name with an input and an output topic, all there, the dead-letter topic too."""
        name = fresh("stage")
        self.create(f"dlq.{name}", partitions)
        return name, self.create(f"{name}.in", partitions), self.create(f"{name}.out", partitions)

    def send(self, topic: str, values: Iterable[bytes], headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        self.transport.sender.send(Emit(topic, value.rpartition(b":")[2], value, headers) for value in values)

    def read(self, topic: str) -> list[Record]:
        return list(self.transport.reader.read([topic]))

    def count(self, topic: str) -> int:
        """Return the number of offsets in a topic, control records counted in: cheap, for conditions."""
        return sum(self.transport.offsets.ends(topic).values())

    def lag(self, group: str, topic: str) -> int:
        committed = self.transport.offsets.committed(group, topic)
        return sum(end - committed[one] for one, end in self.transport.offsets.ends(topic).items())


class LocalHarness(Harness):
    """Everything in this process."""

    def __init__(self) -> None:
        self.transport: LocalTransport = LocalTransport()
        self._runners: dict[str, LocalRunner] = {}

    def create(self, topic: str, partitions: int = 4, *, compact: bool = False) -> str:
        self.transport.create(topic, partitions)
        return topic

    def start(self, handler: str, workers: int = 1, **arguments: Any) -> str:
        made: list[Any] = [HANDLERS[handler](**arguments) for _ in range(workers)]
        name: str = arguments["name"]
        runner = self._runners[name] = LocalRunner(self.transport, POLICY)
        if isinstance(made[0], Steered):
            runner.add_stage(*made)
        else:
            runner.add_task(*made)
        runner.start()
        return name

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + GUARD_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come to pass"
            for runner in self._runners.values():
                await runner.run_until(lambda: True)
            await asyncio.sleep(0.01)

    async def crash(self, name: str) -> None:
        await self._runners[name].crash(name)

    async def stop(self, name: str) -> None:
        await self._runners.pop(name).stop()

    async def fails(self, name: str) -> None:
        runner = self._runners.pop(name)
        try:
            await runner.run_until(lambda: False, timeout_s=GUARD_S)
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001 - the failure is what was waited for
            return

    async def close(self) -> None:
        for runner in self._runners.values():
            await runner.stop()


class KafkaHarness(Harness):
    """A real broker; each worker is a process of its own."""

    def __init__(self, broker: BrokerSettings, folder: Path, *, supervise: bool = False) -> None:
        self.broker = broker
        self._supervise = supervise
        self.transport: KafkaTransport
        self.connect_anew()
        self._folder = folder
        self._awaited: dict[str, set[Path]] = {}
        self._workers: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._starts: dict[str, Callable[[], list[subprocess.Popen[bytes]]]] = {}

    def connect_anew(self) -> None:
        """Send, read and ask over new connections from now on."""
        self.transport = KafkaTransport(self.broker)

    def create(self, topic: str, partitions: int = 4, *, compact: bool = False) -> str:
        described = Topic(
            purpose="test",
            key="key",
            schema=None,
            versions=(1,),
            producers=(),
            consumers=(),
            retention="compact" if compact else 1,
            partitions=partitions,
        )
        ensure_topics(self.broker, {topic: described})
        return topic

    def start(self, handler: str, workers: int = 1, **arguments: Any) -> str:
        name: str = arguments["name"]
        self._starts[name] = lambda: [self._spawn(handler, f"w{number}", arguments) for number in range(workers)]
        self._awaited.pop(name, None)
        self._workers[name] = self._starts[name]()
        return name

    def _spawn(self, handler: str, instance: str, arguments: dict[str, Any]) -> subprocess.Popen[bytes]:
        name = arguments["name"]
        ready = self._folder / f"{name}.{instance}.ready"
        ready.unlink(missing_ok=True)
        self._awaited[name] = {*self._awaited.get(name, ()), ready}
        wanted = {
            "handler": handler,
            "arguments": arguments,
            "instance": instance,
            "ready": str(ready),
            "broker": self.broker.model_dump(
                include={"bootstrap_servers", "session_timeout_ms", "delivery_timeout_ms", "request_timeout_ms"}
            ),
        }
        command = [sys.executable, "-m", "tests.contract.stream.worker", json.dumps(wanted)]
        with (self._folder / f"{name}.{instance}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + GUARD_S
        while not await asyncio.to_thread(condition):
            self._look_after()
            assert time.monotonic() < deadline, f"{what} did not come to pass; {self._stacks()}"
            await asyncio.sleep(0.1)

    def _stacks(self) -> str:
        """Have every worker write the stacks of its threads into its log, and return where the logs lie."""
        for worker in itertools.chain(*self._workers.values()):
            worker.send_signal(signal.SIGUSR1)
        return f"logs with stacks in {self._folder}"

    def _look_after(self) -> None:
        """Fail when a worker has ended on its own; where this harness supervises, replace it as Kubernetes would."""
        for name, workers in self._workers.items():
            ended = [worker.poll() for worker in workers if worker.poll() is not None]
            if ended and self._supervise:
                assert 0 not in ended, f"{name} ended as if all were well:\n{self.log(name)}"
                self._end(name, signal.SIGKILL)
                self._workers[name] = self._starts[name]()
                return
            assert not ended, f"{name} ended with {ended}:\n{self.log(name)}"

    async def crash(self, name: str) -> None:
        await asyncio.to_thread(self._end, name, signal.SIGKILL)
        self._workers[name] = self._starts[name]()

    async def stop(self, name: str) -> None:
        # A process that is still importing has no handler for SIGTERM yet.
        await self.until(lambda: all(one.exists() for one in self._awaited[name]), "every worker ready")
        codes = await asyncio.to_thread(self._end, name, signal.SIGTERM)
        assert set(codes) == {0}, f"{name} ended with {codes}:\n{self.log(name)}"

    async def fails(self, name: str) -> None:
        codes = [await asyncio.to_thread(worker.wait, GUARD_S) for worker in self._workers.pop(name)]
        assert 0 not in codes, self.log(name)

    async def close(self) -> None:
        for name in list(self._workers):
            await asyncio.to_thread(self._end, name, signal.SIGKILL)

    def log(self, name: str) -> str:
        return "\n".join(one.read_text(errors="replace")[-3000:] for one in self._folder.glob(f"{name}.*.log"))

    def _end(self, name: str, how: signal.Signals) -> Sequence[int]:
        workers = self._workers.pop(name)
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(how)
        return [worker.wait(GUARD_S) for worker in workers]
