"""The SQL in the services' sources: each text with a statement, under the name of its constant or function."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SERVICES = Path(__file__).parent.parent.parent / "services"
_STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")


class _Texts(ast.NodeVisitor):
    def __init__(self, module: str) -> None:
        self._module = module
        self._scope = ""
        self.found: list[tuple[str, str]] = []

    def generic_visit(self, node: ast.AST) -> None:
        outer = self._scope
        self._scope = outer or _name(node)
        super().generic_visit(node)
        self._scope = outer

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # else a docstring
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._add("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._add(node.value)

    def _add(self, text: str) -> None:
        if _STATEMENT.search(text):
            self.found.append((f"{self._module}:{self._scope}", text))


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def statements() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each statement; migrations are no statements of a service.

    The place is `ingest/store/items:_CLAIM`. Values that are put into the text at run time are `{}`.
    """
    for path in sorted(SERVICES.rglob("*.py")):
        if "migrations" not in path.parts:
            texts = _Texts(str(path.relative_to(SERVICES).with_suffix("")))
            texts.visit(ast.parse(path.read_text()))
            yield from texts.found
