"""docs/explanation/guarantees.md names existing tests, at least one for every promise."""

import re
from functools import cache

from tools.generate.protos import ROOT

PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
_NAMED = re.compile(r"`(test_\w+)`")
_DEFINED = re.compile(r"^\s*(?:async )?def (test_\w+)", re.MULTILINE)
_PROMISES = 10


@cache
def defined() -> frozenset[str]:
    """Return the names of all tests."""
    return frozenset(
        name for path in (ROOT / "tests").rglob("test_*.py") for name in _DEFINED.findall(path.read_text())
    )


def rows() -> list[str]:
    """Return the rows of the tables, without their headings."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith("|---") and "tests that try |" not in line]


def test_every_test_that_is_named_exists() -> None:
    assert [] == sorted(set(_NAMED.findall(PAGE.read_text())) - defined())


def test_every_row_names_a_test() -> None:
    assert [] == [row for row in rows() if not _NAMED.search(row)]


def test_every_promise_has_a_section() -> None:
    numbers = re.findall(r"^## (\d+)\. ", PAGE.read_text(), re.MULTILINE)

    assert [str(number) for number in range(1, _PROMISES + 1)] == numbers
