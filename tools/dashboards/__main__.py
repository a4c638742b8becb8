"""`python -m tools.dashboards` writes deploy/grafana."""

import sys

from tools.dashboards import FOLDER, files


def main() -> int:
    """Write the dashboards, and delete those that no longer exist; return the exit status."""
    wanted = files()
    for path in FOLDER.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
