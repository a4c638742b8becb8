"""Secrets show themselves only when asked."""

import copy
import json
import pickle

import pytest
from pydantic import BaseModel, ValidationError

from services.meshkit.secret import MASK, Secret

CANARY = "canary-7f3a"


class Holder(BaseModel):
    token: Secret


@pytest.mark.parametrize(
    "show",
    [str, repr, format, lambda secret: f"{secret:>30}", lambda secret: f"{[secret]}", lambda secret: f"{secret!r}"],
)
def test_a_secret_shows_a_mask(show):
    assert CANARY not in show(Secret(CANARY))


def test_a_secret_reveals_itself_when_asked():
    assert CANARY == Secret(CANARY).reveal()


def test_secrets_compare_by_value():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert 1 == len({Secret("a"), Secret("a")})


@pytest.mark.parametrize("leak", [pickle.dumps, json.dumps, copy.deepcopy])
def test_a_secret_does_not_leave_by_serialization(leak):
    with pytest.raises(TypeError):
        leak(Secret(CANARY))


def test_an_empty_secret_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_a_secret_has_no_attributes_to_look_into():
    assert not hasattr(Secret(CANARY), "__dict__")


def test_a_model_with_a_secret_dumps_a_mask():
    holder = Holder(token=CANARY)  # type: ignore[arg-type]

    assert CANARY == holder.token.reveal()
    assert MASK in holder.model_dump_json()
    assert CANARY not in f"{holder!r}{holder.model_dump(mode='json')}{holder.model_dump_json()}"


def test_a_model_takes_a_secret_as_it_is():
    assert Secret("a") == Holder(token=Secret("a")).token


def test_a_fault_of_a_model_does_not_repeat_the_secret():
    with pytest.raises(ValidationError) as caught:
        Holder.model_validate({"token": ""})

    assert CANARY not in str(caught.value)
