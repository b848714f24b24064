"""Several Triton servers behind one address: all get calls, new ones too, and a model is mended where it is missing."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import grpc
import numpy as np
import pytest

pytest.importorskip("tritonclient")

from tritonclient.grpc import service_pb2, service_pb2_grpc

from limoflow.errors import DependencyUnavailable, ModelRequestError
from limoflow.inference.triton import EMBEDDER, TritonModels

WAIT_S = 20.0


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Embeds any text as (1, 0); a model whose first process died is whole again once it is unloaded and loaded."""

    def __init__(self) -> None:
        self.instances = self.stated = 1
        self.failed: Counter[str] = Counter()
        self._turn = 0
        self.asked: Counter[str] = Counter()
        self.loaded = {EMBEDDER}
        self.dead: set[str] = set()
        self.broken: set[str] = set()
        self.loads: list[str] = []

    async def ServerLive(self, request, context):  # noqa: N802 - named by the protocol
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelInfer(self, request, context):  # noqa: N802
        model = request.model_name
        self._turn = (self._turn + 1) % self.instances
        if model in self.dead and self._turn == 0:
            self.failed[model] += 1
            await context.abort(grpc.StatusCode.INTERNAL, f"Stub process '{model}' is not healthy.")
        if model not in self.loaded:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"Request for unknown model: '{model}' is not found")
        self.asked[model] += 1
        answer = service_pb2.ModelInferResponse(model_name=model, model_version="1")
        answer.outputs.add(name="EMBEDDING", datatype="FP32", shape=[1, 2])
        answer.raw_output_contents.append(np.array([1, 0], dtype=np.float32).tobytes())
        return answer

    async def ModelConfig(self, request, context):  # noqa: N802
        if request.name not in self.loaded:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"Request for unknown model: '{request.name}'")
        answer = service_pb2.ModelConfigResponse()
        answer.config.instance_group.add(count=self.stated)
        return answer

    async def ModelStatistics(self, request, context):  # noqa: N802
        answer = service_pb2.ModelStatisticsResponse()
        answer.model_stats.add(name=request.name).inference_stats.fail.count = self.failed[request.name]
        return answer

    async def RepositoryModelLoad(self, request, context):  # noqa: N802
        model = request.model_name
        if model in self.broken:
            await context.abort(grpc.StatusCode.INTERNAL, f"failed to load '{model}', no version is available")
        self.loads.append(f"load {model}")
        self.failed[model] = 0
        self.loaded.add(model)
        return service_pb2.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(self, request, context):  # noqa: N802
        self.loads.append(f"unload {request.model_name}")
        self.loaded.discard(request.model_name)
        self.dead.discard(request.model_name)
        return service_pb2.RepositoryModelUnloadResponse()


Start = Callable[..., Awaitable[tuple[FakeTriton, int]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Return a function that starts a server on an address of the loopback and returns it and its port."""
    running = []

    async def started(host: str = "127.0.0.1", port: int = 0) -> tuple[FakeTriton, int]:
        fake, server = FakeTriton(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
        bound = server.add_insecure_port(f"{host}:{port}")
        await server.start()
        running.append(server)
        return fake, bound

    yield started
    for server in running:
        await server.stop(None)


async def two(start: Start) -> tuple[FakeTriton, FakeTriton, str]:
    (one, first), (other, second) = await start(), await start()
    return one, other, f"ipv4:127.0.0.1:{first},127.0.0.1:{second}"


async def until(holds: Callable[[], bool], doing: Callable[[], object] | None = None) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            if doing is not None:
                await doing()  # type: ignore[misc]
            await asyncio.sleep(0.01)


async def test_every_server_gets_calls(start: Start) -> None:
    one, other, url = await two(start)
    models = TritonModels(url)
    await until(lambda: one.asked[EMBEDDER] > 0 and other.asked[EMBEDDER] > 0, lambda: models.embed("text"))
    before = one.asked[EMBEDDER], other.asked[EMBEDDER]
    for _ in range(20):
        await models.embed("text")
    assert (one.asked[EMBEDDER] - before[0], other.asked[EMBEDDER] - before[1]) == (10, 10)
    await models.close()


async def test_a_model_is_loaded_where_it_is_missing_and_reloaded_only_where_its_process_died(start: Start) -> None:
    one, other, url = await two(start)
    models = TritonModels(url, heal_seconds=0)
    one.loaded.add("ifd-1")
    await models.ensure_loaded("ifd-1")
    assert (one.loads, other.loads) == ([], ["load ifd-1"])
    one.dead.add(EMBEDDER)

    failed = asyncio.Event()

    async def ask() -> None:
        try:
            await models.embed("text")
        except DependencyUnavailable:
            failed.set()

    await until(failed.is_set, ask)
    await until(lambda: not one.dead and EMBEDDER in one.loaded)
    assert (one.loads, other.loads) == ([f"unload {EMBEDDER}", f"load {EMBEDDER}"], ["load ifd-1"])
    await models.close()


@pytest.mark.parametrize("instances", [2, 3])
async def test_one_dead_process_of_several_is_found_though_the_others_answer(start: Start, instances: int) -> None:
    """Who asks alone would meet the dead one, and his probe the next, each time."""
    server, port = await start()
    server.instances = server.stated = instances
    server.dead.add(EMBEDDER)
    models = TritonModels(f"127.0.0.1:{port}")
    failed = 0
    for _ in range(instances):
        try:
            await models.embed("text")
        except DependencyUnavailable:
            failed += 1
    assert failed == 1
    await until(lambda: not server.dead and EMBEDDER in server.loaded)
    assert server.loads == [f"unload {EMBEDDER}", f"load {EMBEDDER}"]
    await models.close()


async def test_a_dead_process_that_no_probe_meets_is_found_by_the_calls_that_go_on_failing(start: Start) -> None:
    """Calls keep the dead one busy, so that probes meet the others; bad requests and old failures reload nothing."""
    one, other, url = await two(start)
    for server in (one, other):
        # Two probes of ten never reach it.
        server.instances, server.failed[EMBEDDER] = 10, 7
    models = TritonModels(url, heal_seconds=0)

    async def ask() -> None:
        with suppress(DependencyUnavailable):
            await models.embed("text")

    one.dead.add(EMBEDDER)
    await until(lambda: bool(one.loads) and EMBEDDER in one.loaded, ask)
    assert one.loads == [f"unload {EMBEDDER}", f"load {EMBEDDER}"]
    for _ in range(30):
        await models.embed("text")
    assert (one.failed[EMBEDDER], other.failed[EMBEDDER], other.loads) == (0, 7, [])
    await models.close()


async def test_a_server_that_is_out_does_not_keep_the_others_from_loading(start: Start) -> None:
    one, port = await start()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"ipv4:127.0.0.1:{closed.getsockname()[1]},127.0.0.1:{port}"
        models = TritonModels(url)
        await models.ensure_loaded("ifd-1")
        assert one.loads == ["load ifd-1"]
        one.broken.add("ifd-2")
        with pytest.raises(ModelRequestError, match="ifd-2"):
            await models.ensure_loaded("ifd-2")
        await models.close()
        nowhere = TritonModels(url.rpartition(",")[0])
        with pytest.raises(DependencyUnavailable):
            await nowhere.ensure_loaded("ifd-1")
        await nowhere.close()


class Names(asyncio.DatagramProtocol):
    """A name server that gives every name the same addresses."""

    def __init__(self) -> None:
        self.addresses = ["127.0.0.1"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, sender: object) -> None:
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack(">H", data[end - 4 : end - 2])
        given = self.addresses if kind == 1 else []
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(given), 0, 0)
        answers = b"".join(struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(one) for one in given)
        self._transport.sendto(head + data[12:end] + answers, sender)  # type: ignore[attr-defined]


async def test_a_server_that_is_added_gets_calls_though_no_connection_was_lost(start: Start) -> None:
    one, port = await start()
    other, _ = await start("127.0.0.2", port)
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    name_server = transport.get_extra_info("sockname")[1]
    models = TritonModels(f"dns://127.0.0.1:{name_server}/triton.test:{port}", renew_seconds=0.2, deadline=1.0)
    await models.embed("text")
    names.addresses.append("127.0.0.2")
    calls = [asyncio.create_task(models.embed("text")) for _ in range(10)]
    await until(lambda: other.asked[EMBEDDER] > 0, lambda: models.embed("text"))
    await asyncio.gather(*calls)
    # Names that cannot be looked at cost nothing while the servers are there.
    transport.close()
    for _ in range(100):
        await models.embed("text")
        await asyncio.sleep(0.02)
    assert one.asked[EMBEDDER] > 10
    await models.close()
