"""The partition of a key, as Kafka's Java client, aiokafka and librdkafka's `murmur2_random` choose it."""

from __future__ import annotations

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of `data` with Kafka's seed, unsigned.

    Source: A. Appleby, MurmurHash2 (public domain); the seed is that of org.apache.kafka.common.utils.Utils.murmur2.
    """
    length = len(data)
    value = _SEED ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        word = (int.from_bytes(data[at : at + 4], "little") * _M) & _MASK
        word = ((word ^ (word >> 24)) * _M) & _MASK
        value = ((value * _M) & _MASK) ^ word
    if whole < length:
        value = ((value ^ int.from_bytes(data[whole:], "little")) * _M) & _MASK
    value = ((value ^ (value >> 13)) * _M) & _MASK
    return value ^ (value >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key among `partitions` of them."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
