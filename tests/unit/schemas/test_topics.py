"""topics.yaml agrees with the code's constants, the schemas and itself."""

from __future__ import annotations

from schemas import topics as module
from schemas.export_json import COMMITTED, EVENTS, MAJOR, file_name
from schemas.topics import dead_letters_of, topics

STAGES = ("ingestor", "generator", "verifier", "scorer", "selector", "exporter", "trainer", "evaluator")


def constants() -> set[str]:
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def test_constants_and_dead_letter_topics_are_the_names_in_the_file():
    assert constants() | {dead_letters_of(stage) for stage in STAGES} == set(topics())


def test_every_named_schema_is_exported_and_committed():
    for name, topic in topics().items():
        if topic.schema_name is not None:
            assert topic.schema_name in EVENTS, name
            assert (COMMITTED / file_name(topic.schema_name)).exists(), name
            assert MAJOR in topic.versions, name


def test_every_schema_is_on_a_topic():
    assert {topic.schema_name for topic in topics().values()} - {None} == set(EVENTS)


def test_a_stage_writes_only_its_own_dead_letters():
    for stage in STAGES:
        assert topics()[dead_letters_of(stage)].producers == (stage,)


def test_producers_and_consumers_are_known():
    for name, topic in topics().items():
        unknown = {*topic.producers, *topic.consumers} - {*STAGES, "cli"}
        assert not unknown, (name, unknown)
        assert topic.producers, name
        assert topic.consumers, name
        assert topic.purpose.endswith("."), name
