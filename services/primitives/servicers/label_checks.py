"""The checks of a request to classify, and of its answer."""

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.message.labels import UNKNOWN, label_fault, size_of
from services.primitives.texts.classify import METHOD
from services.primitives.texts.model import MAX_TEXT as READ_TEXT

MAX_SUBJECT, MAX_TEXT = 1000, 262_144


def check_classify(request: pb2.ClassifyMessageRequest) -> int:
    """Check a request; return its cost in characters of the model.

    Raises:
        FieldInvalid: A field is out of its bounds.
    """
    for field, most in (("subject", MAX_SUBJECT), ("text", MAX_TEXT)):
        if len(getattr(request, field)) > most:
            raise FieldInvalid.of(field, f"has more than {most} characters")
    if not (request.subject.strip() or request.text.strip()):
        raise FieldInvalid.of("text", "is empty, and so is subject")
    if not 0 <= request.minimum_margin <= 1:  # a number that is none is out of it too
        raise FieldInvalid.of("minimum_margin", "is not between 0 and 1")
    if (fault := label_fault(request.labels)) is not None:
        raise FieldInvalid.of(*fault)
    return size_of(request.labels) + min(len(request.subject) + len(request.text), READ_TEXT)


def is_closed(request: pb2.ClassifyMessageRequest, answer: pb2.ClassifyMessageResponse) -> bool:
    """Tell whether an answer has the request's labels and no other text, even if its process was taken over."""
    names = [label.name for label in request.labels]
    is_known = answer.label in {UNKNOWN, *names}
    return is_known and [score.label for score in answer.scores] == names and answer.method == METHOD
