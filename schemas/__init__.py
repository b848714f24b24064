"""The contract between the layers: events, topics and their JSON Schemas. Imports nothing of ours."""

from schemas.admission import Admission
from schemas.base import Contract, canonical_json, digest
from schemas.dead_letter import DeadLetter
from schemas.evaluation import Evaluation
from schemas.export import Export
from schemas.feedback import Feedback
from schemas.identity import child_id, content_hash, source_id
from schemas.model import TrainedModel
from schemas.release import ChosenRow, Release
from schemas.run import Run, RunSpec
from schemas.sample import Sample
from schemas.window import WindowEnd

__all__ = [
    "Admission",
    "ChosenRow",
    "Contract",
    "DeadLetter",
    "Evaluation",
    "Export",
    "Feedback",
    "Release",
    "Run",
    "RunSpec",
    "Sample",
    "TrainedModel",
    "WindowEnd",
    "canonical_json",
    "child_id",
    "content_hash",
    "digest",
    "source_id",
]
