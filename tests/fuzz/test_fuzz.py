"""A few hundred hostile inputs for each parser, the same ones every time; `make fuzz` makes millions."""

from __future__ import annotations

import time

import pytest

from tests.fuzz.mutate import inputs
from tests.fuzz.parsers import PARSERS

COUNT = 400
HANG_S = 10.0


@pytest.mark.parametrize("name", PARSERS)
def test_no_input_is_more_than_refused(name: str) -> None:
    parser = PARSERS[name]
    for data in inputs(parser.seeds, parser.words, COUNT, seed=20):
        began = time.process_time()
        try:
            parser.take(data)
        except Exception as error:
            raise AssertionError(f"{name} fails on {data[:300]!r} ({len(data)} bytes)") from error
        assert time.process_time() - began < HANG_S, f"{name} hangs on {data[:300]!r} ({len(data)} bytes)"
