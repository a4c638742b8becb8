"""Reads the services' metrics and log lines from the source, without running it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "Summary": "summary", "Info": "info"}
_LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}
_SETTLED = frozenset({"exc_info", "stack_info"})


class UnreadableError(Exception):
    """A call cannot be read from its text alone: it has to be written so that it can."""

    def __init__(self, path: Path, node: ast.AST, what: str) -> None:
        super().__init__(f"{path}:{getattr(node, 'lineno', 0)}: {what}")


@dataclass(frozen=True)
class Metric:
    """One metric as its constructor says it.

    Args:
        module: The file that defines it, from the root.
        name: As Prometheus sees it; histograms add `_bucket`, `_sum` and `_count`.
        kind: counter, gauge, histogram, summary or info.
        meaning: Its help text.
        labels: Names in order.
    """

    module: str
    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class LogEvent:
    """One place that writes a line.

    Args:
        module: The file, from the root.
        name: The line's `event`.
        levels: The levels at which the module writes it.
        fields: The names of its further fields.
    """

    module: str
    name: str
    levels: tuple[str, ...]
    fields: frozenset[str]


def metrics(root: Path) -> list[Metric]:
    """Every metric below a folder, in order of files and lines.

    Raises:
        UnreadableError: One is not made of plain words.
    """
    return [
        metric
        for path, tree in _modules(root, "prometheus_client")
        for metric in _metrics(path, tree, str(path.relative_to(root.parent)))
    ]


def log_events(root: Path) -> list[LogEvent]:
    """Every line that can be logged below a folder, in order of files and lines.

    Raises:
        UnreadableError: The text alone does not determine a line.
    """
    return [event for path, tree in _modules(root) for event in _Lines(path, tree, root).events()]


def _modules(root: Path, word: str = "") -> Iterator[tuple[Path, ast.Module]]:
    """Parse every module below a folder whose text contains the word."""
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if word in text:
            yield path, ast.parse(text)


def _metrics(path: Path, tree: ast.Module, module: str) -> Iterator[Metric]:
    made = {
        alias.asname or alias.name: _KINDS[alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
        for alias in node.names
        if alias.name in _KINDS
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and call.func.id in made:
            try:
                name, meaning, *rest = (ast.literal_eval(argument) for argument in call.args)
            except ValueError as exc:
                raise UnreadableError(path, call, "a metric's name, help and labels are plain literals") from exc
            yield Metric(module, name, made[call.func.id], meaning, tuple(rest[0]) if rest else ())


class _Lines:
    """The log lines of one module."""

    def __init__(self, path: Path, tree: ast.Module, root: Path) -> None:
        self._path, self._tree = path, tree
        self._module = str(path.relative_to(root.parent))

    def events(self) -> Iterator[LogEvent]:
        """Every line, and a failure for every use of a level that no line was made of."""
        written = self._writers()
        uses = {id(node) for node in ast.walk(self._tree) if self._level(node)}
        seen: set[int] = set()
        for call in (node for node in ast.walk(self._tree) if isinstance(node, ast.Call)):
            ways = written.get(call.func.id, []) if isinstance(call.func, ast.Name) else self._uses(call.func)
            if ways:
                seen.update(id(way) for way in ways)
                yield self._event(call, ways)
        if uses - seen:
            raise UnreadableError(self._path, self._tree, "a logger's level is used in a way that cannot be read")

    def _level(self, node: ast.AST) -> str:
        match node:
            case ast.Attribute(value=ast.Name(id="logger"), attr=level):
                return _LEVELS.get(level, "")
        return ""

    def _uses(self, node: ast.AST) -> list[ast.AST]:
        """`logger.info`, or both sides of `logger.info if ... else logger.warning`."""
        sides = (node.body, node.orelse) if isinstance(node, ast.IfExp) else (node,)
        return [side for side in sides if self._level(side)]

    def _writers(self) -> dict[str, list[ast.AST]]:
        """Names that stand for a level: `write = logger.debug if ... else logger.info`."""
        return {
            target.id: ways
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Assign) and (ways := self._uses(node.value))
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def _event(self, call: ast.Call, ways: list[ast.AST]) -> LogEvent:
        if not (call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)):
            raise UnreadableError(self._path, call, "a line's event is a plain string")
        fields = {name for keyword in call.keywords for name in self._names(call, keyword)}
        if fields & _SETTLED or any(getattr(way, "attr", "") == "exception" for way in ways):
            fields.add("exception")
        levels = dict.fromkeys(self._level(way) for way in ways)
        return LogEvent(self._module, call.args[0].value, tuple(levels), frozenset(fields - _SETTLED))

    def _names(self, call: ast.Call, keyword: ast.keyword) -> set[str]:
        if keyword.arg is not None:
            return {keyword.arg}
        sources = {node.id for node in ast.walk(keyword.value) if isinstance(node, ast.Name)}
        names = {name for node in ast.walk(self._tree) if self._makes(node, sources) for name in _keys(node)}
        if not names:
            raise UnreadableError(self._path, call, "write ** of a line as a dict with plain keys in this module")
        return names

    def _makes(self, node: ast.AST, names: set[str]) -> bool:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return node.name in names
        return isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in node.targets)


def _keys(source: ast.AST) -> Iterator[str]:
    """The keys of the dicts that are written or completed there."""
    for node in ast.walk(source):
        keys = node.keys if isinstance(node, ast.Dict) else []
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            keys = [node.slice]
        yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
