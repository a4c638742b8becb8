"""A hand-written page gets its tables from the measurements."""

from pathlib import Path

import pytest

from bench.fill import fill
from bench.measure import Figure, Result

FIGURES = (
    Figure("way, here: walk", 1.5, "ms", note="shoes"),
    Figure("way, here: total", 3.0, "ms"),
    Figure("way, there: walk", 0.004, "ms", note="shoes"),
    Figure("way, there: total", 1234.5, "ms"),
    Figure("cost, here: bread", -2.0, "s"),
)
RESULT = Result("name", "question", "method", FIGURES, is_quick=False, commit="c0ffee", measured_at="today")


def filled(folder: Path, text: str) -> str:
    page = folder / "page.md"
    page.write_text(text)
    fill(page, [RESULT])
    return page.read_text()


def test_a_table_is_written_anew_and_the_text_around_it_stays(tmp_path: Path) -> None:
    once = filled(tmp_path, "before\n<!-- bench: cost -->\nold\n<!-- end -->\nbehind\n")

    table = "| | here | unit | |\n|---|---:|---|---|\n| bread | -2.00 | s |  |\n"
    assert f"before\n<!-- bench: cost -->\n{table}<!-- end -->\nbehind\n" == once
    assert once == filled(tmp_path, once)


def test_steps_are_shown_as_shares_of_all_of_it_side_by_side(tmp_path: Path) -> None:
    lines = filled(tmp_path, "<!-- bench: way -->\n<!-- end -->\n").splitlines()

    assert "| | here | share | there | share | unit | |" == lines[1]
    assert "| walk | 1.50 | 50% | 0.004 | 0% | ms | shoes |" == lines[3]
    assert "| total | 3.00 | 100% | 1,234 | 100% | ms |  |" == lines[4]


def test_a_page_that_needs_missing_measurements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="weather"):
        filled(tmp_path, "<!-- bench: weather -->\n<!-- end -->\n")
