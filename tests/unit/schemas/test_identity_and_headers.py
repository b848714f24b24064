"""Ids, content hashes and CloudEvents headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import child_id, content_hash, source_id
from schemas.headers import event_headers, header_text

texts = st.text(st.characters(), max_size=8)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=6, unique=True))
def test_where_one_part_ends_and_the_next_begins_counts(pairs):
    assert len({content_hash(*pair) for pair in pairs}) == len(pairs)


def test_ids_depend_on_every_part_and_on_nothing_else():
    made = {
        source_id("a#1"),
        source_id("a#2"),
        child_id("p", "generator", "1", 0),
        child_id("q", "generator", "1", 0),
        child_id("p", "verifier", "1", 0),
        child_id("p", "generator", "2", 0),
        child_id("p", "generator", "1", 1),
    }
    assert len(made) == 7
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in made)
    assert child_id("p", "generator", "1", 0) == child_id("p", "generator", "1", 0)


def test_half_a_surrogate_pair_has_a_hash():
    assert content_hash("\ud800", "") != content_hash("\udfff", "")


def test_headers_are_cloud_events_in_binary_mode():
    headers = dict(event_headers("sample.v1", "id-1", "scorer", runid="r", window=0, reason=None))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"io.limoflow.sample.v1",
        "ce_source": b"/limoflow/scorer",
        "content-type": b"application/json",
        "ce_runid": b"r",
        "ce_window": b"0",
    }


@pytest.mark.parametrize("kind", [tuple, dict])
def test_a_header_is_read_as_text(kind):
    headers = kind([("ce_id", b"first"), ("ce_id", b"last"), ("ce_stage", b"\xff"), ("ce_none", None)])
    assert header_text(headers, "ce_id") == "last"
    assert header_text(headers, "ce_stage") == "\ufffd"
    assert header_text(headers, "ce_none") is None
    assert header_text(headers, "absent") is None
