"""The bounds of a request to classify, and of an answer."""

import pytest

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.meshkit.errors import FieldInvalid
from services.primitives.errors import ModelBudgetSpent
from services.primitives.servicers.label_checks import check_classify, is_closed
from services.primitives.texts.budget import ModelBudget
from services.primitives.texts.classify import METHOD


def label(name: str, *examples: str) -> pb2.ClassifyLabel:
    return pb2.ClassifyLabel(name=name, examples=examples)


PAIR = (label("bill", "Pay this."), label("end", "Stop this."))


def request(*labels: pb2.ClassifyLabel, text: str = "Hello", **fields: object) -> pb2.ClassifyMessageRequest:
    return pb2.ClassifyMessageRequest(text=text, labels=labels or PAIR, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (request(text=" \n"), "text"),
        (request(text="x" * 262_145), "text"),
        (request(subject="x" * 1001), "subject"),
        (request(minimum_margin=-0.1), "minimum_margin"),
        (request(minimum_margin=float("nan")), "minimum_margin"),
        (request(label("bill")), "labels"),
        (request(*(label(f"label {place}") for place in range(33))), "labels"),
        (request(label("bill"), label("BILL")), "labels"),
        (request(label("bill"), label("Unknown")), "labels[1].name"),
        (request(label(" "), label("bill")), "labels[0].name"),
        (request(label("x" * 65), label("bill")), "labels[0].name"),
        (request(label("a\x1bb"), label("bill")), "labels[0].name"),
        (request(label("bill", " "), label("end")), "labels[0].examples"),
        (request(label("bill", "x" * 501), label("end")), "labels[0].examples"),
        (request(label("bill", *"abcdefghijklmnopq"), label("end")), "labels[0].examples"),
        (request(label("bill", *["x" * 500] * 9), label("end")), "labels"),
    ],
)
def test_a_request_beyond_its_bounds_is_refused_by_its_field(given: pb2.ClassifyMessageRequest, field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_classify(given)

    assert list(refused.value.violations) == [field]


def test_the_cost_is_what_the_model_reads() -> None:
    assert check_classify(request(subject="ab", text="cde")) == 5 + len("Pay this.Stop this.")
    assert check_classify(request(label("a"), label("b"), text="x" * 200_000)) == 1502


def test_an_answer_with_any_other_text_is_not_closed() -> None:
    scores = [pb2.ClassifyScore(label=one.name) for one in PAIR]
    good = pb2.ClassifyMessageResponse(label="bill", scores=scores, method=METHOD)

    assert is_closed(request(), good)
    for field, value in (("label", "refund"), ("label", ""), ("method", "other")):
        bad = pb2.ClassifyMessageResponse()
        bad.CopyFrom(good)
        setattr(bad, field, value)
        assert not is_closed(request(), bad)
    bad.CopyFrom(good)
    bad.scores[0].label = "refund"
    assert not is_closed(request(), bad)


def test_a_key_spends_its_own_budget_which_fills_up_in_a_minute() -> None:
    now = 0.0
    budget = ModelBudget(6000, lambda: now)
    budget.spend("one", 6000)

    with pytest.raises(ModelBudgetSpent) as refused:
        budget.spend("one", 600)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after.total_seconds() == 6
    budget.spend("other", 600)
    now = 6.0
    budget.spend("one", 600)
