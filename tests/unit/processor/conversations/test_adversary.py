"""An adversary does not bring two customers into one conversation; `bench/adversary.py` plays 100,000 mails."""

import random

import pytest

from services.processor.conversations import intake
from tests.unit.processor.conversations.adversary import Adversary


@pytest.mark.parametrize("seed", range(3))
def test_no_mail_of_an_adversary_brings_two_customers_together(seed: int) -> None:
    adversary = Adversary(random.Random(seed))
    for _ in range(1000):
        adversary.step()

    assert [] == adversary.wrong_merges
    assert adversary.attacks > 300


def test_the_adversary_succeeds_without_the_rule_of_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "refusal_of", lambda *_: "")
    adversary = Adversary(random.Random(0))
    for _ in range(500):
        adversary.step()

    assert adversary.wrong_merges
