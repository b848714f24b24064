"""Creates the topics that are missing."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from limoflow.stream.kafka_errors import connect, failure, unreachable
from limoflow.stream.settings import MAX_MESSAGE_BYTES, BrokerSettings
from schemas.topics import Topic, topics

_COMPACT = {
    "cleanup.policy": "compact",
    # A segment must hold the largest record, and only a closed one is compacted.
    "segment.bytes": str(MAX_MESSAGE_BYTES + 1024 * 1024),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "86400000",
}
_HOUR_MS = 3_600_000
_LOOK_S = 0.05


def ensure_topics(settings: BrokerSettings, described: Mapping[str, Topic] | None = None) -> list[str]:
    """Create the topics that are missing and return their names.

    Parameters
    ----------
    described : mapping of str to Topic, optional
        Those of topics.yaml by default.

    Raises
    ------
    DependencyUnavailable
        When the broker does not answer, or refuses.
    """
    wanted = topics() if described is None else described
    admin = connect(settings)
    there = admin.list_topics(timeout=settings.connect_timeout_s).topics
    missing = [_new(name, topic, settings) for name, topic in wanted.items() if name not in there]
    if missing:
        _create(admin, missing, settings)
        _await(admin, {topic.topic for topic in missing}, settings)
    return [topic.topic for topic in missing]


def short_topics(settings: BrokerSettings, described: Mapping[str, Topic] | None = None) -> dict[str, tuple[int, int]]:
    """Return the topics with fewer partitions than they are to have: how many there are, and how many were wanted.

    Workers beyond the partitions of their topic stand by.
    """
    there = connect(settings).list_topics(timeout=settings.connect_timeout_s).topics
    counts = {
        name: (len(there[name].partitions), settings.partitions if topic.partitions == "work" else topic.partitions)
        for name, topic in (topics() if described is None else described).items()
        if name in there
    }
    return {name: (found, wanted) for name, (found, wanted) in counts.items() if 0 < found < wanted}


def _create(admin: AdminClient, missing: list[NewTopic], settings: BrokerSettings) -> None:
    for name, created in admin.create_topics(missing, operation_timeout=settings.connect_timeout_s).items():
        try:
            created.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise failure(settings, error.args[0], f"topic {name!r} was not created") from error


def _await(admin: AdminClient, made: set[str], settings: BrokerSettings) -> None:
    """Wait until the broker shows them: it learns of a topic from its controller, a moment after its creation."""
    deadline = time.monotonic() + settings.connect_timeout_s
    while not made <= admin.list_topics(timeout=settings.connect_timeout_s).topics.keys():
        if time.monotonic() > deadline:
            raise unreachable(settings, f"it does not show the new topics {sorted(made)}")
        time.sleep(_LOOK_S)


def _new(name: str, topic: Topic, settings: BrokerSettings) -> NewTopic:
    if topic.retention == "compact":
        config = dict(_COMPACT)
    else:
        config = {"cleanup.policy": "delete", "retention.ms": str(topic.retention * _HOUR_MS)}
    config["max.message.bytes"] = str(MAX_MESSAGE_BYTES)
    partitions = settings.partitions if topic.partitions == "work" else topic.partitions
    return NewTopic(name, partitions, settings.replication_factor, config=config)
