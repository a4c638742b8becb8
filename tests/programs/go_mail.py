"""Mail as Go's parser reads it."""

import json
import subprocess
from pathlib import Path

_PROGRAM = Path(__file__).parent / "read_mail" / "main.go"


def read_by_go(raw: bytes) -> dict[str, list[str]]:
    """Returns the header fields of a mail, unfolded and otherwise unchanged, under Go's spelling of their names."""
    done = subprocess.run(["go", "run", str(_PROGRAM)], input=raw, capture_output=True, timeout=300, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found
