"""Where packages keep the programs that they ship. The packages are not imported: that has effects."""

import importlib.util
from pathlib import Path


def package_folder(package: str) -> Path:
    """Returns the folder of an installed package.

    Raises:
        FileNotFoundError: The package is not installed here.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed: install mailmesh with its extra `stack`")
    return Path(found.origin).parent
