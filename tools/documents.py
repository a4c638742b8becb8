"""YAML as data, read fast: the contract's OpenAPI document has some 9,000 lines, seconds for the parser in Python."""

from collections.abc import Iterator
from typing import Any

import yaml

# The parser in C takes a tenth of the time; an installation of PyYAML without libyaml has the one in Python only.
_LOADER: type[yaml.CSafeLoader | yaml.SafeLoader] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_yaml(text: str) -> Any:
    """Return the one document of a text as plain data.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    return yaml.load(text, _LOADER)  # noqa: S506 - both loaders make plain data only


def read_yaml_documents(text: str) -> Iterator[Any]:
    """Return each document of a text as plain data.

    Raises:
        yaml.YAMLError: The text is not YAML.
    """
    return yaml.load_all(text, _LOADER)
