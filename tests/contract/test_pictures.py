"""Pictures of the console in the site of the documentation."""

from pathlib import Path

from tools.check.pictures import PAGE, show


def copied(folder: Path) -> Path:
    page = folder / "docs" / PAGE
    page.parent.mkdir(parents=True)
    page.write_text("# Use the console\n")
    return page


def test_the_wide_pictures_are_shown_small_and_lead_to_themselves(tmp_path: Path) -> None:
    page, shots = copied(tmp_path), tmp_path / "shots"
    shots.mkdir()
    for name in ("dead-letters-wide.png", "dead-letters-narrow.png", "accounts-wide.png"):
        (shots / name).write_bytes(name.encode())

    count = show(tmp_path / "docs", shots)

    assert 2 == count
    assert {"accounts-wide.png", "dead-letters-wide.png"} == {
        path.name for path in (page.parent / "pictures").iterdir()
    }
    place = "pictures/dead-letters-wide.png"
    assert f'[![Dead letters]({place}){{ width="380" }}]({place} "Dead letters")' in page.read_text()


def test_the_page_stays_as_it_is_without_pictures(tmp_path: Path) -> None:
    page = copied(tmp_path)

    assert 0 == show(tmp_path / "docs", tmp_path / "nowhere")
    assert "# Use the console\n" == page.read_text()
