"""Metrics of the named model. Labels are bounded: they are reasons of the error catalogue."""

from prometheus_client import Counter

ASKED = Counter(
    "mailmesh_processor_model_calls_total", "Questions to the named model, by outcome.", ["operation", "outcome"]
)
TOKENS = Counter("mailmesh_processor_model_tokens_total", "Tokens that questions to the named model have spent.")
