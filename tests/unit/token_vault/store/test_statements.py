"""Statements that are composed at run time hold placeholders, and never a value."""

import pytest

from services.token_vault.store.statements import Parameters, assignments, where

HOSTILE = "x'); DROP TABLE vault.tenants; --"


def test_values_are_numbered_in_the_order_in_which_they_are_added() -> None:
    parameters = Parameters()

    assert ["$1", "$2", "$3"] == [parameters.add(value) for value in ("a", None, 7)]
    assert ["a", None, 7] == parameters.values


def test_a_set_list_holds_placeholders_only() -> None:
    parameters = Parameters()
    parameters.add("before")

    assert "status = $2, status_detail = $3" == assignments(parameters, {"status": HOSTILE, "status_detail": ""})
    assert ["before", HOSTILE, ""] == parameters.values


@pytest.mark.parametrize("name", [HOSTILE, "a = 1, b", "", "a-b", "a b"])
def test_a_set_list_refuses_a_name_that_is_no_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a column"):
        assignments(Parameters(), {name: 1})


def test_a_where_clause_joins_its_conditions_and_is_empty_without_any() -> None:
    assert "" == where([])
    assert " WHERE a = $1 AND b < $2" == where(["a = $1", "b < $2"])
