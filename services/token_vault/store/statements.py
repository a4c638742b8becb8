"""Statements that are composed at run time: numbered parameters, never a value in the text."""

from collections.abc import Iterable, Mapping


class Parameters:
    """Number the values of one statement.

    parameters = Parameters()
    text = f"SELECT 1 FROM vault.tenants WHERE provider = {parameters.add(provider)}"
    await connection.fetch(text, *parameters.values)
    """

    def __init__(self) -> None:
        self.values: list[object] = []

    def add(self, value: object) -> str:
        """Take a value, and return its placeholder: `$1` for the first."""
        self.values.append(value)
        return f"${len(self.values)}"


def where(conditions: Iterable[str]) -> str:
    """Join conditions into a WHERE clause; without any, the clause is empty."""
    joined = " AND ".join(conditions)
    return f" WHERE {joined}" if joined else ""


def assignments(parameters: Parameters, values: Mapping[str, object]) -> str:
    """Write the SET list of an UPDATE.

    Args:
        parameters: Takes the values.
        values: New values by column. The columns' names become part of the text, so they must come from code.

    Raises:
        ValueError: A name is no identifier.
    """
    for name in values:
        if not name.isidentifier():
            raise ValueError(f"{name!r} is not the name of a column")
    return ", ".join(f"{name} = {parameters.add(value)}" for name, value in values.items())
