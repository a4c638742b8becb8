"""The bounds of the labels by which a mail is classified: a closed set, and bounds of every text."""

from collections.abc import Sequence

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2

UNKNOWN = "unknown"
"""The answer for none of the labels."""
MIN_LABELS, MAX_LABELS, MAX_EXAMPLES, MAX_LABEL, MAX_EXAMPLE = 2, 32, 16, 64, 500
MAX_EXAMPLE_CHARACTERS = 4096


def label_fault(labels: Sequence[pb2.ClassifyLabel]) -> tuple[str, str] | None:
    """Return the first fault of labels: the path of the field and what is wrong with it. None without a fault."""
    names = [label.name for label in labels]
    if not MIN_LABELS <= len(names) <= MAX_LABELS:
        return "labels", f"has not {MIN_LABELS} to {MAX_LABELS} labels"
    if len({name.casefold() for name in names}) != len(names):
        return "labels", "has a name twice"
    for place, label in enumerate(labels):
        if (fault := _fault(label)) is not None:
            return f"labels[{place}].{fault[0]}", fault[1]
    if size_of(labels) > MAX_EXAMPLE_CHARACTERS:
        return "labels", f"has examples of more than {MAX_EXAMPLE_CHARACTERS} characters together"
    return None


def size_of(labels: Sequence[pb2.ClassifyLabel]) -> int:
    """Return the characters that a model reads of labels: the examples, or the name of a label without any."""
    return sum(sum(map(len, label.examples)) or len(label.name) for label in labels)


def _fault(label: pb2.ClassifyLabel) -> tuple[str, str] | None:
    if not 1 <= len(label.name) <= MAX_LABEL or not label.name.isprintable() or not label.name.strip():
        return "name", f"has not 1 to {MAX_LABEL} printable characters"
    if label.name.casefold() == UNKNOWN:
        return "name", f"is {UNKNOWN}, which is the answer for none of the labels"
    if len(label.examples) > MAX_EXAMPLES:
        return "examples", f"has more than {MAX_EXAMPLES} examples"
    if not all(len(example.strip()) >= 1 and len(example) <= MAX_EXAMPLE for example in label.examples):
        return "examples", f"has an example without 1 to {MAX_EXAMPLE} characters"
    return None
