"""A check that changes text makes a child: its own id, its parent in the lineage."""

from __future__ import annotations

from schemas.identity import child_id
from schemas.sample import Message, Sample


def masked_child(parent: Sample, replacement: tuple[str, str], stage: str, version: str) -> Sample:
    """Return the child that says `replacement` (instruction, response) in place of what its parent says.

    The same parent, stage and version give the same id (G2). Turns of a chat that repeat the parent's instruction or
    response are replaced with them; what an earlier stage found out about the parent's text stays with the parent.
    """
    instruction, response = replacement
    told = {parent.instruction: instruction, parent.response: response}
    turns = parent.messages and [
        Message.model_validate({**turn.model_dump(exclude_unset=True), "content": told.get(turn.content, turn.content)})
        for turn in parent.messages
    ]
    lineage = parent.metadata.lineage
    metadata = parent.metadata.model_copy(
        update={
            "verification": None,
            "lineage": lineage and lineage.model_copy(update={"parent": parent.id}),
        }
    )
    changed = {
        "id": child_id(parent.id, stage, version, 0),
        "instruction": instruction,
        "response": response,
        "metadata": metadata,
    }
    return parent.model_copy(update=changed if turns is None else {**changed, "messages": turns})
