"""What lies on the brokers' disks: the pool topic before and after compaction, and topics that are kept for a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.scale.forwards import Course, Numbers
from benchmarks.scale.sizes import Sizes
from schemas.topics import CANDIDATE, RAW, REJECTED, SCORED, VERIFIED, topics

DAY_S = 86_400.0
DIRTY = 0.1
"""`min.cleanable.dirty.ratio` of the compacted topics."""
TOMBSTONES_S = 86_400.0
"""`delete.retention.ms` of the compacted topics."""
A_SAMPLE = {RAW: 1_100, CANDIDATE: 1_100, VERIFIED: 1_400, SCORED: 2_800, REJECTED: 2_800}
"""Bytes for each admitted sample in the topics that are kept for a time, measured by `make test-k8s`."""


@dataclass(frozen=True, slots=True)
class PoolLog:
    """The bytes of selector.pool over a window, one replica; one element for each place of the course.

    Attributes
    ----------
    written : array of float
        Everything so far, as a topic without compaction would hold it.
    live : array of float
        Keys whose newest record is no tombstone.
    tombstones : array of float
        Those of the last 24 hours, which compaction keeps.
    """

    written: Numbers
    live: Numbers
    tombstones: Numbers

    @property
    def compacted(self) -> Numbers:
        """Just before the cleaner finds it dirty enough; the open segment (65 MB or ten minutes) comes on top."""
        return np.minimum(self.written, (self.live + self.tombstones) / (1.0 - DIRTY))


def pool_log(course: Course, sizes: Sizes, rate: float) -> PoolLog:
    """Return the bytes of selector.pool where `rate` samples a second are admitted."""
    tombstones = course.sample_tombstones * sizes.sample_tombstone + course.fate_tombstones * sizes.fate_tombstone
    samples = course.forwarded * sizes.sample
    fates = (course.fates + course.written_back) * sizes.fate
    seconds = course.admitted / rate
    expired = np.interp(seconds - TOMBSTONES_S, seconds, tombstones.astype(np.float64), left=0.0)
    return PoolLog(
        written=(samples + fates + tombstones).astype(np.float64),
        live=(course.held * sizes.sample + course.fates_held * sizes.fate).astype(np.float64),
        tombstones=tombstones - expired,
    )


def kept(samples_a_day: float, bytes_a_sample: float, hours: float, replicas: int = 3) -> float:
    """Return the bytes of a topic that is kept for some hours, once that time has passed."""
    return samples_a_day * bytes_a_sample * hours / 24.0 * replicas


def disk(samples_a_day: float, replicas: int = 3) -> float:
    """Return the bytes of the topics that grow with the samples, once the longest-kept of them has filled."""
    hours = {name: topics()[name].retention for name in A_SAMPLE}
    return sum(kept(samples_a_day, size, float(hours[name]), replicas) for name, size in A_SAMPLE.items())
