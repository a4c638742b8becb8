"""Each provider is named in one place."""

import ast
from pathlib import Path

import services
from services.providers import names

ROOT = Path(services.__file__).parent


def literals(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_no_other_module_spells_the_name_of_a_provider() -> None:
    spelled = {names.MS365, names.GOOGLEWS}
    modules = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if spelled & literals(path)}

    assert {"providers/names.py"} == modules


def test_every_provider_has_the_names_that_people_read() -> None:
    assert {names.MS365, names.GOOGLEWS} == set(names.PRODUCTS) == set(names.COMPANIES)
