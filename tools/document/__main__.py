"""`python -m tools.document`: rewrites the generated pages of docs/reference."""

from tools.document.pages import PAGES
from tools.generate.protos import ROOT

FOLDER = ROOT / "docs" / "reference"


def main() -> None:
    """Writes every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
