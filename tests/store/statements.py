"""The SQL statements of a package, found in the constants of its modules."""

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

_BEGIN = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def statements_of(package: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each constant that is a whole statement.

    Args:
        package: Its modules hold statements as constants; a constant that begins otherwise is a part of one.
    """
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = import_module(found.name)
        for name, value in vars(module).items():
            if isinstance(value, str) and name.isupper() and _BEGIN.match(value):
                yield f"{found.name}.{name}", value
