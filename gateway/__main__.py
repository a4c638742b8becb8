"""`python -m gateway`: prints the edge's configuration for Envoy."""

import sys

from gateway.render import render
from gateway.settings import EdgeSettings
from services.meshkit.settings import SettingsError, load, reference

USAGE = "usage: python -m gateway render > envoy.rendered.yaml | python -m gateway settings"


def main() -> int:
    """Runs the command and returns the exit code: 0 done, 1 settings are wrong, 2 usage."""
    match sys.argv[1:]:
        case ["render"]:
            return _render()
        case ["settings"]:
            sys.stdout.write(reference(EdgeSettings))
            return 0
        case _:
            sys.stderr.write(f"{USAGE}\n")
            return 2


def _render() -> int:
    try:
        sys.stdout.write(render(load(EdgeSettings)))
    except (SettingsError, FileNotFoundError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
