"""No text from outside acts on the terminal, whichever command shows it."""

import json
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from stack.cli import output
from stack.cli.app import app
from stack.cli.exits import run
from stack.cli.help import command_line, walk
from tests.wire.stack.hostile import HOSTILE, hostile_mesh, texts_of

ROOT = command_line(app)
ID = "019a9f0e-7c1e-7000-8000-000000000002"
COMMANDS = (
    ("connect", "ms365", "--no-browser"),
    ("tenants", "list"),
    ("tenants", "get", ID),
    ("tenants", "test", ID),
    ("tenants", "rename", ID, "name"),
    ("tenants", "disable", ID),
    ("tenants", "enable", ID),
    ("tenants", "disconnect", ID, "--yes", "--no-wait"),
    ("tenants", "erase", ID, "--yes", "--no-wait"),
    ("tenants", "erasure", ID),
    ("tenants", "export", ID, "--to", "account.ndjson"),
    ("tenants", "erase-person", ID, "ann@example.com", "--yes", "--no-wait"),
    ("tenants", "person-erasure", ID, ID),
    ("tenants", "cancel-person-erasure", ID, ID),
    ("subscriptions", "create", ID),
    ("subscriptions", "batch-create", ID),
    ("subscriptions", "list"),
    ("subscriptions", "health"),
    ("subscriptions", "get", ID),
    ("subscriptions", "renew", ID),
    ("subscriptions", "delete", ID, "--yes"),
    ("events", "list"),
    ("events", "get", ID),
    ("events", "tail", "--count", "1"),
    ("keys", "create", "name"),
    ("keys", "list"),
    ("keys", "revoke", ID, "--yes"),
    ("sessions", "list"),
    ("sessions", "end", ID, "--yes"),
    ("audit",),
    ("dead-letters", "list"),
    ("dead-letters", "count"),
    ("dead-letters", "retry", ID),
    ("status",),
    ("replay", "--since", "1h"),
    ("reconcile", ID),
    ("backfill", ID, "--since", "1d", "--no-wait"),
    ("backfill", ID, "--cancel"),
    ("directories", "consent", ID),
    ("directories", "add", "boss@example.com"),
    ("directories", "list"),
    ("directories", "allow", ID, "desk@example.com"),
    ("directories", "mailboxes", ID),
    ("directories", "connect", ID, ID),
    ("app-credentials", "add", "--service-account", str(Path(__file__))),
    ("app-credentials", "list"),
    ("tenants", "connect-shared", ID, "info@example.com"),
    ("app-credentials", "delete", ID, "--yes"),
    ("send", "--tenant", ID, "--to", "ada@example.com", "--text", "x"),
    ("sends", "list"),
    ("sends", "identities", ID),
    ("sends", "get", ID),
    ("sends", "cancel", ID),
    ("sends", "resolve", ID, "sent"),
    # Twice, since the command takes any number of messages: without the option it would wait for a minute.
    ("messages", "mark", "AAMk", "--tenant", ID, "--read", "--wait", "0", "--wait", "0"),
    ("messages", "modification", ID),
    ("messages", "processed-mark", ID),
    ("messages", "processed-mark", ID, "--category", "Done"),
    ("messages", "processed", ID, "--wait", "0"),
    ("messages", "get", "AAMk", "--tenant", ID),
    ("messages", "raw", "AAMk", "--tenant", ID),
    ("messages", "attachment", "AAMk", "1", "--tenant", ID),
    ("messages", "folders", "--tenant", ID),
    ("messages", "search", "offer", "--tenant", ID),
    ("endpoints", "create", "https://receiver.example.com/hooks"),
    ("endpoints", "list"),
    ("endpoints", "get", ID),
    ("endpoints", "update", ID, "--name", "name"),
    ("endpoints", "pause", ID),
    ("endpoints", "resume", ID),
    ("endpoints", "rotate-key", ID),
    ("endpoints", "test", ID),
    ("endpoints", "attempts", ID),
    ("endpoints", "retry", ID, ID),
    ("endpoints", "recover", ID),
    ("endpoints", "delete", ID, "--yes"),
    ("calendars", "list", ID),
    ("calendars", "follow", ID),
    ("calendars", "unfollow", ID, "--yes"),
    ("calendars", "events", ID),
    ("calendars", "events", ID, "--today", "--conversation", ID),
    ("calendars", "meetings", ID, "--today", "--zone", "Europe/Berlin"),
    ("calendars", "versions", ID, ID),
    ("calendars", "instances", ID),
    ("calendars", "get", ID),
    ("calendars", "get", ID, "--original-start", "2026-12-07T09:00:00"),
    ("calendars", "free-busy", ID, "ada@example.com"),
    ("calendars", "create", ID, "--subject", "s", "--start", "2026-03-08", "--end", "2026-03-09", "--notify", "none"),
    ("calendars", "respond", ID, "accepted", "--notify", "none"),
    ("calendars", "update", ID, "--subject", "s", "--notify", "none"),
    ("calendars", "cancel", ID, "--notify", "none", "--yes"),
    ("calendar-writes", "list"),
    ("calendar-writes", "get", ID),
    ("calendar-writes", "resolve", ID, "done"),
    ("conversations", "list", ID),
    ("conversations", "get", ID),
    ("conversations", "messages", ID),
    ("conversations", "set-state", ID, "solved", "--version", "1"),
    ("conversations", "merge", ID, ID, "--version", "1", "--yes"),
    ("conversations", "split", ID, "--message", "m", "--version", "1"),
    ("conversations", "claim", ID, "--name", "Kim"),
    ("conversations", "assign", ID, "Kim", "--version", "1"),
    ("conversations", "timer", ID, "--name", "first"),
    ("conversations", "link", ID, "--record", "T-1", "--version", "1"),
    ("conversations", "release", ID, "--name", "Kim"),
    ("conversations", "original-sender", ID, "ada@example.com", "--version", "1"),
    ("primitives", "parse", __file__),
    ("primitives", "extract", __file__),
    ("primitives", "fields", __file__, "--field", "a=date"),
    ("primitives", "classify", __file__, "--label", "a", "--label", "b=c"),
    ("workflows", "start", "triage", ID),
    ("workflows", "list"),
    ("workflows", "get", ID),
    ("workflows", "resume", ID, "question", "true"),
    ("workflows", "cancel", ID),
    ("conversations", "enable", ID, "--address", "desk@example.com"),
    ("conversations", "disable", ID),
    ("search", "offer", "--tenant", ID),
    ("search-settings", "get", ID),
    ("search-settings", "enable", ID),
    ("search-settings", "disable", ID),
    ("sealing", "get", ID),
    ("sealing", "enable", ID),
    ("sealing", "disable", ID),
    ("messages", "parse", "m", "--tenant", ID),
    ("messages", "extract", "m", "a", "--tenant", ID),
    ("model", "get", ID),
    ("model", "enable", ID, "--outside"),
    ("model", "disable", ID),
    ("model", "classify", ID, __file__, "--label", "a", "--label", "b=c"),
    ("model", "extract", ID, __file__, "--field", "a=date"),
    ("model", "calls", ID),
    ("classification", "get", ID),
    ("classification", "enable", ID, "--label", "a", "--label", "b=c"),
    ("classification", "disable", ID),
)
# These run programs on this machine and show no answer of a mesh, and two commands have a second name.
WITHOUT_MESH = {("up",), ("demo",), ("simulate",), ("doctor",), ("vault", "rotate"), ("backup",), ("restore",)}
OTHER_NAMES = {("tenants", "show"), ("subscriptions", "show"), ("events", "show")}
# Downloads, and commands that answer by a sentence.
WITHOUT_JSON = {
    ("messages", "raw"),
    ("messages", "attachment"),
    ("endpoints", "retry"),
    ("endpoints", "delete"),
    ("tenants", "export"),
}
LEAVES = {path: command for path, command in walk(ROOT) if not getattr(command, "commands", None)}
# Of the command line itself: the operating system hands in bytes that are no UTF-8 as lone surrogates.
ARGUMENTS = {"acting": HOSTILE, "no UTF-8": "bad\udcff\ud800", "long": "x" * 100_000}
# Everything that acts, but for the line breaks that end our own lines and the tab between the cells of a line.
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0041]")
# The sequences of rich: colours, cursor movement within the table that it redraws, the cursor's visibility.
OWN_SEQUENCES = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[mAKGH]|2K)")


def invoke(address: str, command: tuple[str, ...], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("mm_key")
    arguments = ["--server", address, "--key-file", str(key), *command]
    # A command may write a file to the working directory.
    with chdir(tmp_path), pytest.raises(SystemExit):
        run(lambda: ROOT.main(arguments, prog_name="mailmesh"))


def path_of(command: tuple[str, ...]) -> tuple[str, ...]:
    """The words that name the command of a command line."""
    return next(command[:length] for length in (1, 2) if command[:length] in LEAVES)


def with_each_argument(command: tuple[str, ...], value: str) -> Iterator[tuple[str, ...]]:
    """Gives the command line with each of its arguments and options in turn replaced by a value."""
    path = path_of(command)
    for place in range(len(path), len(command)):
        yield (*command[:place], value, *command[place + 1 :])
    for parameter in LEAVES[path].params:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            yield (*command, parameter.opts[0], value)
    yield (*command, f"--{value}")


def test_every_command_is_tried() -> None:
    assert {path_of(command) for command in COMMANDS} == set(LEAVES) - WITHOUT_MESH - OTHER_NAMES


@pytest.mark.parametrize("value", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_argument_acts_or_is_an_accident(
    mesh: str,
    command: tuple[str, ...],
    value: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in with_each_argument(command, value):
        # A refusal is as good as an answer; any other exception than the exit would fail the test.
        invoke(mesh, arguments, tmp_path)
        shown = "".join(capsys.readouterr())

        assert ACTING.findall(shown) == [], arguments
        assert [line for line in shown.splitlines() if line.startswith("forged")] == [], arguments
        shown.encode()


@pytest.mark.parametrize("value", [HOSTILE, "bad\udcff"], ids=ascii)
def test_no_argument_for_the_simulator_acts(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("127.0.0.1:1", ("simulate", "--", f"--{value}"), tmp_path)
    shown = "".join(capsys.readouterr())

    assert "An argument for the simulator" in shown
    assert ACTING.findall(shown) == []
    assert not (tmp_path / ".mailmesh").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_acts_in_a_pipe(
    mesh: str, command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(mesh, command, tmp_path)
    shown = "".join(capsys.readouterr())

    assert ACTING.findall(shown) == []
    assert [line for line in shown.splitlines() if line.startswith("forged")] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_acts_in_a_terminal(
    mesh: str,
    command: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output.console, "_force_terminal", True)
    invoke(mesh, command, tmp_path)
    shown = OWN_SEQUENCES.sub("", "".join(capsys.readouterr()))

    # Rich ends the lines of a table that it redraws by a carriage return of its own.
    assert set(ACTING.findall(shown)) <= {"\r"}
    assert "\r" not in shown.replace("\r\n", "\n").strip("\r")


@pytest.mark.parametrize("command", [one for one in COMMANDS if one[:2] not in WITHOUT_JSON], ids=" ".join)
def test_nothing_acts_in_json_and_the_value_is_the_same(
    mesh: str, command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = () if command[:2] == ("events", "get") else ("--json",)
    invoke(mesh, (*command, *option), tmp_path)
    captured = capsys.readouterr()

    assert ACTING.findall(captured.out + captured.err) == []
    assert {text for text in texts_of(json.loads(captured.out)) if "title" in text} <= {HOSTILE}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_failure_of_the_mesh_acts(
    short_folder: Path, command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hostile_mesh(short_folder, failing="it failed\x1b[2J\u202e") as address:
        invoke(address, command, tmp_path)
    shown = "".join(capsys.readouterr())

    assert "it failed" in shown
    assert ACTING.findall(shown) == []
