"""Programs that are not trusted run here: `best_sandbox` finds what works on this machine."""

from services.verifier.sandbox.best import best_sandbox, examine
from services.verifier.sandbox.interface import Job, Limits, Outcome, Sandbox, Unavailable

__all__ = ["Job", "Limits", "Outcome", "Sandbox", "Unavailable", "best_sandbox", "examine"]
