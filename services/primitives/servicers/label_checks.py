"""The checks of a request to classify: a closed set of labels, and bounds of every text."""

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.primitives.texts.classify import METHOD, UNKNOWN
from services.primitives.texts.model import MAX_TEXT as READ_TEXT

MIN_LABELS, MAX_LABELS, MAX_EXAMPLES, MAX_LABEL, MAX_EXAMPLE = 2, 32, 16, 64, 500
MAX_EXAMPLE_CHARACTERS = 4096
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
    return _check_labels(request) + min(len(request.subject) + len(request.text), READ_TEXT)


def _check_labels(request: pb2.ClassifyMessageRequest) -> int:
    names = [label.name for label in request.labels]
    if not MIN_LABELS <= len(names) <= MAX_LABELS:
        raise FieldInvalid.of("labels", f"has not {MIN_LABELS} to {MAX_LABELS} labels")
    if len({name.casefold() for name in names}) != len(names):
        raise FieldInvalid.of("labels", "has a name twice")
    size = 0
    for place, label in enumerate(request.labels):
        field = f"labels[{place}]"
        if not 1 <= len(label.name) <= MAX_LABEL or not label.name.isprintable() or not label.name.strip():
            raise FieldInvalid.of(f"{field}.name", f"has not 1 to {MAX_LABEL} printable characters")
        if label.name.casefold() == UNKNOWN:
            raise FieldInvalid.of(f"{field}.name", f"is {UNKNOWN}, which is the answer for none of the labels")
        if len(label.examples) > MAX_EXAMPLES:
            raise FieldInvalid.of(f"{field}.examples", f"has more than {MAX_EXAMPLES} examples")
        if not all(len(example.strip()) >= 1 and len(example) <= MAX_EXAMPLE for example in label.examples):
            raise FieldInvalid.of(f"{field}.examples", f"has an example without 1 to {MAX_EXAMPLE} characters")
        size += sum(map(len, label.examples)) or len(label.name)
    if size > MAX_EXAMPLE_CHARACTERS:
        raise FieldInvalid.of("labels", f"has examples of more than {MAX_EXAMPLE_CHARACTERS} characters together")
    return size


def is_closed(request: pb2.ClassifyMessageRequest, answer: pb2.ClassifyMessageResponse) -> bool:
    """Tell whether an answer has the request's labels and no other text, even if its process was taken over."""
    names = [label.name for label in request.labels]
    is_known = answer.label in {UNKNOWN, *names}
    return is_known and [score.label for score in answer.scores] == names and answer.method == METHOD
