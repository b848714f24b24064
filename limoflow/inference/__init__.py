"""The only place that knows model servers and LLM endpoints.

Heavy clients stay in their modules: `limoflow.inference.triton` (tritonclient) and `limoflow.inference.chat` (httpx).
"""

from limoflow.inference.breaker import BreakerState, CircuitBreaker
from limoflow.inference.types import AnswerLikelihood, ScoringModels

__all__ = ["AnswerLikelihood", "BreakerState", "CircuitBreaker", "ScoringModels"]
