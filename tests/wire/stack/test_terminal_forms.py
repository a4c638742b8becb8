"""The forms in which text is shown: the code of a character that acts, or that the terminal cannot show."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.meshkit.text import visible
from stack.cli.app import app
from stack.cli.exits import Exit, run
from stack.cli.help import command_line
from stack.terminal import visible_json
from tests.wire.stack.hostile import HOSTILE, texts_of

ROOT = command_line(app)
ID = "019a9f0e-7c1e-7000-8000-000000000002"


def test_each_acting_character_is_shown_by_its_code() -> None:
    assert visible("a\x1b\x9b\u202e\n\U000e0041b") == r"a\x1b\x9b\u202e\n\U000e0041b"


def test_text_of_people_stays_as_it_is() -> None:
    text = "Grüße, 你好, שלום, سلام, नमस्ते, 👩‍👩‍👧, C:\\temp [bold] :smile:"

    assert visible(text) == text


def test_json_keeps_its_value() -> None:
    document = json.dumps({HOSTILE: [HOSTILE]}, ensure_ascii=False, indent=2)

    assert json.loads(visible_json(document)) == json.loads(document)


@pytest.mark.parametrize(
    "key", [b"mm_\xff", b"mm_a\nb", b"mm_\0", "mm_\u00fc".encode(), b"mm_\x1b[2J", b"", b"x" * 1_000_000]
)
def test_a_damaged_key_file_is_refused_in_one_line(
    mesh: str, key: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    path.write_bytes(key)
    with pytest.raises(SystemExit) as ended:
        run(lambda: ROOT.main(["--server", mesh, "--key-file", str(path), "tenants", "list"], prog_name="mailmesh"))
    captured = capsys.readouterr()

    assert ended.value.code == Exit.DENIED
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "mm_" not in captured.err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("command", [("sends", "get", ID), ("tenants", "list")], ids=" ".join)
def test_a_terminal_without_a_form_for_a_character_gets_its_code(
    mesh: str, command: tuple[str, ...], encoding: str, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("mm_key")
    # A new interpreter, whose encoding the environment sets; a fork has that of the tests.
    program = (sys.executable, "-X", "utf8=0", "-m", "stack", "--server", mesh, "--key-file", str(key), *command)
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown, document = (
        subprocess.run([*program, *option], capture_output=True, timeout=50, check=False, env=environment)
        for option in ((), ("--json",))
    )

    assert (0, 0) == (shown.returncode, document.returncode), (shown.stderr, document.stderr)
    assert shown.stdout.decode(encoding)
    assert HOSTILE in set(texts_of(json.loads(document.stdout.decode(encoding))))
