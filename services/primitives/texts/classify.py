"""A mail's text to one of the caller's labels, by the nearest mean of examples."""

from itertools import pairwise

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.labels import UNKNOWN
from services.primitives.failure import ContentError
from services.primitives.texts.model import MAX_TEXT, MODEL, TextModel, product, readable

METHOD = f"centroids/{MODEL}"
DEFAULT_MARGIN = 0.01
"""The median margin of right answers is 0.027; below 0.01 half of the answers are wrong (`bench.classify_messages`)."""


def classify(request: pb2.ClassifyMessageRequest, model: TextModel | None) -> pb2.ClassifyMessageResponse:
    """Classify a mail. The label is one of the request's, or `UNKNOWN`, whatever the text says.

    Args:
        request: A request that was checked.
        model: The model, or None if it is not installed.

    Raises:
        ContentError: The model is not installed.
    """
    if model is None:
        raise ContentError("model_missing")
    whole = "\n".join(part for part in (request.subject, request.text) if part)
    text = readable(whole)
    answer = pb2.ClassifyMessageResponse(method=METHOD, is_text_cut=len(" ".join(whole.split())) > MAX_TEXT)
    seen = model.vector(text)
    for label in request.labels:
        answer.scores.add(label=label.name, score=product(seen, model.centroid(_texts(label))))
    ranked = sorted(answer.scores, key=lambda score: -score.score)
    answer.margin = next(first.score - second.score for first, second in pairwise(ranked))
    least = request.minimum_margin if request.HasField("minimum_margin") else DEFAULT_MARGIN
    answer.label = ranked[0].label if text and answer.margin >= least else UNKNOWN
    return answer


def _texts(label: pb2.ClassifyLabel) -> tuple[str, ...]:
    """Return the examples; a label without any has its name as the only one."""
    return tuple(map(readable, label.examples)) or (readable(label.name),)
