"""Each regular expression of the mapping takes time that grows no faster than its input; the modules are walked."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from services import message
from services.processor.mail.sources import gmail_mapping, graph_mapping
from tests.unit.message.growth import TIMES, grows_too_fast
from tests.unit.message.test_growth import PIECES

MODULES = [
    importlib.import_module(f"{message.__name__}.{found.name}") for found in pkgutil.iter_modules(message.__path__)
] + [gmail_mapping, graph_mapping]
PREFIXES = ["", "<a ", "=?u?q?"]
SMALL = 2_000


def patterns(module: ModuleType) -> Iterator[tuple[str, "re.Pattern[str] | re.Pattern[bytes]"]]:
    """The patterns among a module's own names, also those within lists and dictionaries."""
    for name, value in vars(module).items():
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        for number, member in enumerate(members):
            if isinstance(member, re.Pattern) and f"\n{name}" in inspect.getsource(module):
                yield f"{name}{number or ''}", member


PATTERNS = {f"{m.__name__.rpartition('.')[2]} {name}": (m, name, made) for m in MODULES for name, made in patterns(m)}


def reader(module: ModuleType, name: str, pattern: "re.Pattern[str]") -> Callable[[str], object]:
    """Use a pattern as its module does: to find all that fits, or at one place."""
    use = rf"\b{name.rstrip('0123456789')}(?:\[\w+\])?\.(?:search|sub|findall|finditer|split)\("
    if re.search(use, inspect.getsource(module)):
        return pattern.findall
    return lambda text: (pattern.match(text), pattern.fullmatch(text))


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_time_that_grows_no_faster_than_its_input(name: str) -> None:
    module, attribute, pattern = PATTERNS[name]
    read = reader(module, attribute, pattern)
    fast = [(prefix, piece) for prefix in PREFIXES for piece in PIECES if _is_fast(read, pattern, prefix, piece)]

    assert [] == fast


def _is_fast(read: Callable[..., object], pattern: "re.Pattern[object]", prefix: str, piece: str) -> bool:
    texts = [prefix + piece * (size // len(piece)) for size in (SMALL, TIMES * SMALL)]
    small, large = [text.encode() if isinstance(pattern.pattern, bytes) else text for text in texts]
    return grows_too_fast(lambda: read(small), lambda: read(large))


def test_the_walk_finds_the_patterns() -> None:
    assert len(PATTERNS) > 50
