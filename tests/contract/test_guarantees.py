"""guarantees.md and threat-model.md name existing tests: one or more for every promise and for every past attack."""

import re
from functools import cache

from tools.generate.protos import ROOT

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
THREATS = ROOT / "docs" / "explanation" / "threat-model.md"
_NAMED = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_PROMISES = 10


@cache
def defined() -> frozenset[str]:
    """Return the names of all tests."""
    return frozenset(
        name for path in (ROOT / "tests").rglob("test_*.py") for name in _DEFINED.findall(path.read_text())
    )


def rows(text: str) -> list[str]:
    """Return the rows of the tables in a text, without their headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith("|---") and "tests that try |" not in line]


def test_every_test_that_is_named_exists() -> None:
    assert [] == sorted(set(_NAMED.findall(PAGE.read_text() + THREATS.read_text())) - defined())


def test_every_row_names_a_test() -> None:
    assert [] == [row for row in rows(PAGE.read_text()) if not _NAMED.search(row)]


def test_every_attack_that_succeeded_once_names_a_test() -> None:
    succeeded = THREATS.read_text().partition("## Attacks and accidents that succeeded once")[2].partition("\n## ")[0]

    assert rows(succeeded)
    assert [] == [row for row in rows(succeeded) if not _NAMED.search(row)]


def test_every_promise_has_a_section() -> None:
    numbers = re.findall(r"^## (\d+)\. ", PAGE.read_text(), re.MULTILINE)

    assert [str(number) for number in range(1, _PROMISES + 1)] == numbers
