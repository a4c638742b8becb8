"""The checks of the pages find dead paths, pages without readers, and sites that load from other hosts."""

import json
from pathlib import Path

import pytest

from tools.check import documents, site


def test_a_path_that_does_not_exist_is_reported_and_patterns_are_not() -> None:
    text = "`services/meshkit/nothing.py` `services/meshkit/` `proto/mailmesh` `services/<name>.py` `tests/*/x` `make`"

    assert ["services/meshkit/nothing.py"] == documents.missing_paths(text)


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("# Title\n\nFor operators. After reading\nthis page you can run it.\n\nMore.\n", True),
        ("# Title\n\n<!-- Generated. -->\n\nFor operators. After reading this page you know it.\n\nMore.\n", True),
        ("# Title\n\nThis page is for operators.\n\nFor operators. After reading this page you know it.\n\n", False),
        ("# Title\n\nFor operators.\n\nAfter reading this page you know it.\n\n", False),
    ],
)
def test_the_first_paragraph_names_the_readers_and_their_gain(text: str, *, is_good: bool) -> None:
    assert is_good == documents.names_its_readers(text)


def test_the_pages_of_a_navigation_are_listed_at_any_depth() -> None:
    nav = [{"Home": "index.md"}, {"A": ["a.md", {"B": ["b.md"]}]}]

    assert ["index.md", "a.md", "b.md"] == list(site.listed(nav))


def test_a_page_without_an_entry_in_the_search_is_reported(tmp_path: Path) -> None:
    index = tmp_path / "search.json"
    items = [("", "Home"), ("a/b/#part", "B"), ("a/", ""), ("c/#part", "C")]
    index.write_text(json.dumps({"items": [{"location": place, "text": text} for place, text in items]}))

    assert ["a/index.md", "d.md"] == site.unsearchable(["a/b.md", "a/index.md", "c.md", "d.md", "index.md"], index)


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://example.com/a.js"></script>',
        '<script src="//example.com/a.js"></script>',
        '<link rel="stylesheet" href="https://example.com/a.css">',
        '<link rel="preconnect" href="https://example.com">',
        '<img src="http://example.com/a.png">',
        '<p style="background: url(https://example.com/a.png)"></p>',
        '<pre class="mermaid"></pre>',
    ],
)
def test_a_page_that_loads_from_another_host_is_reported(element: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"<html>{element}</html>")

    assert 1 == len(list(site.remote(tmp_path)))


def test_a_style_sheet_that_loads_from_another_host_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text('@import "https://example.com/a.css";')

    assert 1 == len(list(site.remote(tmp_path)))


def test_links_to_other_hosts_and_own_files_load_nothing(tmp_path: Path) -> None:
    own = '<script src="../a.js"></script><link rel="canonical" href="https://example.com/"><img src="data:image/png,">'
    (tmp_path / "index.html").write_text(f'<html>{own}<a href="https://example.com/">x</a></html>')

    assert [] == list(site.remote(tmp_path))
