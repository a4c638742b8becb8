"""One transaction names one tenant, save those that are listed with a reason; `conftest.py` checks each test."""

import ast
import itertools
from typing import Any

import asyncpg
import pytest

from services.meshkit import db
from services.meshkit.secret import Secret
from tests.programs.postgres import TestDatabase
from tests.store.transaction_exceptions import TRANSACTIONS
from tests.store.transactions import SERVICES, Recorder

# As if a service had these functions.
_SOURCE = """
SQL = "SELECT FROM (SELECT $1::text AS tenant_id) AS rows WHERE tenant_id = $1"

async def together(pool, tenants):
    async with db.transaction(pool) as connection:
        for tenant in tenants:
            await connection.fetch(SQL, tenant)

async def one_by_one(pool, tenants):
    for tenant in tenants:
        async with db.transaction(pool) as connection:
            await connection.fetch(SQL, tenant)
            await connection.fetch(SQL, tenant)

async def in_a_list(pool, tenants):
    async with db.connection(pool) as connection:
        await connection.fetch("SELECT FROM unnest($1::text[])", tenants)

async def in_the_answer(pool, tenants):
    async with db.transaction(pool) as connection:
        await connection.fetch("SELECT 'a' AS tenant_id UNION SELECT 'b'")
"""
_FOUND = {"together": {"a", "b"}, "one_by_one": None, "in_a_list": {"a", "b"}, "in_the_answer": {"a", "b"}}


@pytest.mark.parametrize("name", _FOUND)
async def test_a_transaction_of_several_tenants_is_found(
    processor_database: TestDatabase, transactions: Recorder, name: str
) -> None:
    scope: dict[str, Any] = {"db": db}
    exec(compile(_SOURCE, str(SERVICES / "invented.py"), "exec"), scope)  # noqa: S102 - our own source
    async with db.open_pool(Secret(processor_database.url), "test") as pool:
        await scope["one_by_one"](pool, ["a", "b"])
        await scope[name](pool, ["a", "b"])
    found = transactions.of_several_tenants()
    transactions.clear()

    expected = _FOUND[name]
    assert ({f"invented:{name}": expected} if expected else {}) == found


async def test_a_transaction_of_the_test_itself_is_no_services(
    processor_database: TestDatabase, transactions: Recorder
) -> None:
    connection = await asyncpg.connect(processor_database.url)
    async with connection.transaction():
        for tenant in ("a", "b"):
            await connection.fetch("SELECT FROM (SELECT $1::text AS tenant_id) AS rows WHERE tenant_id = $1", tenant)
    await connection.close()

    assert transactions.of_several_tenants() == {}


def test_each_listed_transaction_is_begun_by_a_function_that_exists() -> None:
    listed = sorted(TRANSACTIONS)
    modules = {module: _functions(module) for module, _ in itertools.groupby(listed, lambda one: one.partition(":")[0])}

    missing = [one for one in listed if one.partition(":")[2] not in modules[one.partition(":")[0]]]
    assert missing == []


def _functions(module: str) -> set[str]:
    """Name the functions of a module as `co_qualname` does, without the word for local ones."""
    found: set[str] = set()

    def visit(node: ast.AST, outer: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = outer
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{outer}.{child.name}".lstrip(".")
                found.add(name)
            visit(child, name)

    visit(ast.parse((SERVICES / f"{module}.py").read_text()), "")
    return found
