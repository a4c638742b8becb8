"""The check of the lengths of files finds what is too long, and nothing else."""

from pathlib import Path

from tools.check.lengths import MAX_LINES, too_long


def test_a_file_with_one_line_too_many_is_named_with_its_number(tmp_path: Path) -> None:
    longest, longer = tmp_path / "longest.py", tmp_path / "longer.ts"
    longest.write_text("line\n" * MAX_LINES)
    longer.write_text("line\n" * MAX_LINES + "the last one")

    assert [f"{longer}: {MAX_LINES + 1} lines"] == list(too_long([longest, longer]))
