"""Files that options name."""

from pathlib import Path

import typer


def text_of(file: Path) -> str:
    """Return the content of a text file.

    Raises:
        typer.BadParameter: It cannot be read.
    """
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None
