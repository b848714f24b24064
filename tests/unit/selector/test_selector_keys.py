from __future__ import annotations

from schemas.sample import CheckResult, Metadata, Sample, Verification
from services.selector.keys import short_hash


def verified(seconds: float, response: str = "4", verdict: str = "pass") -> bytes:
    result = CheckResult.model_validate({"verdict": verdict, "seconds": seconds, "version": "1"})
    verification = Verification(verified=True, method="a", results={"a": result})
    return Sample(id="s", instruction="q", response=response, metadata=Metadata(verification=verification)).to_bytes()


def test_how_long_a_check_took_is_no_part_of_the_hash_and_everything_else_is() -> None:
    assert short_hash(verified(0.5)) == short_hash(verified(1e-06)) == short_hash(verified(12.25))
    assert short_hash(verified(0.5)) != short_hash(verified(0.5, verdict="fail"))
    said = ('{"seconds":5}', '{"seconds":6}')
    assert short_hash(verified(0.5, said[0])) != short_hash(verified(0.5, said[1]))
