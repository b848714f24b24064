"""Bad inputs out of good ones: libFuzzer's mutations without its feedback, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

LONGEST = 20_000


def inputs(seeds: Sequence[bytes], words: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield inputs; one in fifty is long, for what takes more than linear time shows only there."""
    draw = random.Random(seed)
    pool = list(seeds)
    yield from seeds
    yield b""
    for number in range(count - len(seeds) - 1):
        data = bytearray(draw.choice(pool))
        for _ in range(draw.choice((1, 1, 2, 4, 16))):
            _change(data, words, draw, seeds)
        if number % 50 == 0:
            _blow_up(data, words, draw)
        made = bytes(data[:LONGEST])
        if len(made) < 2_000 and number % 20 == 0:
            pool[len(seeds) :] = [*pool[len(seeds) :][-200:], made]
        yield made


def _change(data: bytearray, words: Sequence[bytes], draw: random.Random, seeds: Sequence[bytes]) -> None:
    at = draw.randint(0, len(data))
    kind = draw.randrange(7)
    if kind == 0 and data:
        data[at % len(data)] ^= 1 << draw.randrange(8)
    elif kind == 1 and data:
        data[at % len(data)] = draw.randrange(256)
    elif kind == 2:
        del data[at : at + draw.choice((1, 2, 8, 64))]
    elif kind == 3 and words:
        data[at:at] = draw.choice(words)
    elif kind == 4:
        data[at:at] = data[at : at + draw.randint(1, 40)]
    elif kind == 5:
        other = draw.choice(seeds)
        begin = draw.randint(0, len(other))
        data[at:at] = other[begin : begin + draw.randint(1, 60)]
    else:
        data[at:at] = chr(draw.choice((0, 10, 0x7F, 0xA0, 0x2028, 0x661, 0xFF11, 0x1F600))).encode()


def _blow_up(data: bytearray, words: Sequence[bytes], draw: random.Random) -> None:
    """Repeat a piece until the input is long."""
    at = draw.randint(0, len(data))
    piece = draw.choice(words) if words and draw.random() < 0.5 else bytes(data[at : at + draw.randint(1, 8)]) or b" "
    data[at:at] = piece * (LONGEST // max(1, len(piece)))
