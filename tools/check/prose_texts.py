"""Finds the prose of a file: pages, docstrings, comments, help texts and messages, each with its line."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath

_HELP = frozenset({"help", "description", "epilog", "short_help"})
_LOGS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_METRICS = frozenset({"Counter", "Gauge", "Histogram", "Summary"})
_FENCE = re.compile(r"^([ \t]*)(```|~~~).*?^[ \t]*\2[ \t]*$", re.MULTILINE | re.DOTALL)
_MARKDOWN_NOISE = (
    re.compile(r"<!-- bench: .*?<!-- end -->", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"(?:(?<=\n\n)|\A)(?:    [^\n]*\n?)+"),
    re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL),
    re.compile(r"(?<=\])\([^)\s]*\)"),
    re.compile(r"https?://\S+"),
)
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
_SLASHES = re.compile(
    r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`[^`]*`|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)", re.DOTALL
)
_HASHES = re.compile(r"(?:^|(?<=\s))#+ ?([^\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class Text:
    """A stretch of prose.

    Args:
        line: The number of its first line in the file.
        words: The prose; its lines are those of the file, with code blanked out.
    """

    line: int
    words: str


def texts(name: str, content: str) -> Iterator[Text]:
    """Yield the prose of a file.

    Args:
        name: The file's path; its suffix selects the reader, and an unknown suffix has no prose.
        content: The file's text.

    Raises:
        SyntaxError: A Python file does not parse.
    """
    path = PurePath(name)
    read = _READERS.get(path.suffix or path.name)
    if read:
        yield from read(content)


def _blank(match: re.Match[str]) -> str:
    """Return spaces in place of code, so that lines and words around it keep their places."""
    return "".join(letter if letter == "\n" else " " for letter in match[0])


def _code(match: re.Match[str]) -> str:
    """Return a neutral word in place of a code span, because the span is a noun of its sentence."""
    return "".join(letter if letter == "\n" else "_" for letter in match[0])


def _markdown(content: str) -> Iterator[Text]:
    words = _FENCE.sub(_blank, content)
    for noise in _MARKDOWN_NOISE:
        words = noise.sub(_code if noise.pattern == _CODE_SPAN.pattern else _blank, words)
    yield Text(1, words)


def _python(content: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(content)):
        for piece in _strings(node):
            yield Text(piece.lineno, _CODE_SPAN.sub(_code, str(piece.value)))
    comments = (
        (token.start[0], token.string.lstrip("#! "))
        for token in tokenize.generate_tokens(io.StringIO(content).readline)
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:", "#!"))
    )
    yield from _joined(comments)


def _strings(node: ast.AST) -> Iterator[ast.Constant]:
    """The docstrings, help texts and messages that begin at a node."""
    match node:
        case ast.Expr(value=ast.Constant(value=str()) as text):
            yield text
        case ast.keyword(arg=name, value=value) if name in _HELP:
            yield from _literals(value)
        case ast.Raise(exc=ast.Call(args=[message, *_])):
            yield from _literals(message)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=[event, *_]) if level in _LOGS:
            yield from _literals(event)
        case ast.Call(func=ast.Name(id=kind), args=[_, meaning, *_]) if kind in _METRICS:
            yield from _literals(meaning)


def _literals(value: ast.expr) -> Iterator[ast.Constant]:
    """The literal parts of a string, an f-string included."""
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    yield from (part for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def _slashes(content: str) -> Iterator[Text]:
    comments: list[tuple[int, str]] = []
    for found in _SLASHES.finditer(content):
        number = content.count("\n", 0, found.start()) + 1
        if found["block"]:
            comments += [(number + at, line.strip("/* \t")) for at, line in enumerate(found["block"].splitlines())]
        elif found["line"]:
            comments.append((number, found["line"].lstrip("/ ")))
    yield from _joined(comments)


def _hashes(content: str) -> Iterator[Text]:
    yield from _joined((content.count("\n", 0, found.start()) + 1, found[1]) for found in _HASHES.finditer(content))


def _joined(comments: Iterable[tuple[int, str]]) -> Iterator[Text]:
    """Join comments on consecutive lines, because a sentence may span them."""
    first, lines = 0, list[str]()
    for number, line in comments:
        if lines and number != first + len(lines):
            yield Text(first, _CODE_SPAN.sub(_code, "\n".join(lines)))
            lines = []
        if not lines:
            first = number
        lines.append(line)
    if lines:
        yield Text(first, _CODE_SPAN.sub(_code, "\n".join(lines)))


_READERS: dict[str, Callable[[str], Iterator[Text]]] = {
    ".md": _markdown,
    ".py": _python,
    ".proto": _slashes,
    ".go": _slashes,
    ".ts": _slashes,
    ".toml": _hashes,
    ".yaml": _hashes,
    "Makefile": _hashes,
}
