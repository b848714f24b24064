"""Formats of JSON text: full samples, chat messages, Alpaca triples."""

from __future__ import annotations

import orjson

from services.exporter.folder import Target
from services.exporter.rows import ReleaseData, conversation, portable


def jsonl(data: ReleaseData, target: Target) -> None:
    """Write `samples.jsonl`: one full sample a line, without embeddings."""
    with target.open("samples.jsonl") as file:
        for sample in data.rows:
            file.write(orjson.dumps(portable(sample), option=orjson.OPT_APPEND_NEWLINE))


def chat(data: ReleaseData, target: Target) -> None:
    """Write `chat.jsonl`: `{"messages": [{"role", "content"}, ...]}` a line, as chat trainers read it."""
    with target.open("chat.jsonl") as file:
        for sample in data.rows:
            file.write(orjson.dumps({"messages": conversation(sample)}, option=orjson.OPT_APPEND_NEWLINE))


def alpaca(data: ReleaseData, target: Target) -> None:
    """Write `alpaca.json`: an array of `{"instruction", "input", "output"}` (Taori et al., Stanford Alpaca, 2023)."""
    with target.open("alpaca.json") as file:
        file.write(b"[")
        for index, sample in enumerate(data.rows):
            row = {"instruction": sample.instruction, "input": "", "output": sample.response}
            file.write((b",\n" if index else b"\n") + orjson.dumps(row))
        file.write(b"\n]\n")
