"""`python -m gateway`: writes the edge's configuration for Envoy."""

import sys
from pathlib import Path

from gateway.console import console
from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import SettingsError, load, reference

USAGE = "usage: python -m gateway render FOLDER | python -m gateway bundle FOLDER | python -m gateway settings"


def main() -> int:
    """Runs the command and returns the exit code: 0 done, 1 settings or the folder are wrong, 2 usage."""
    match sys.argv[1:]:
        case ["render" | "bundle" as command, folder]:
            return _render(Path(folder), is_bundle=command == "bundle")
        case ["settings"]:
            sys.stdout.write(reference(EdgeSettings))
            return 0
        case _:
            sys.stderr.write(f"{USAGE}\n")
            return 2


def _render(folder: Path, *, is_bundle: bool) -> int:
    try:
        sys.stdout.write(f"{render(load(EdgeSettings), folder, is_bundle=is_bundle)}\n")
        found = console()
    except (SettingsError, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    for warning in found.warnings if found else ():
        sys.stderr.write(f"{warning}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
