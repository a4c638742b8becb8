"""The command line explains itself: every command, every option, every example."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.contract import descriptor_path, services
from mailmesh.access.v1 import access_pb2
from stack.cli.app import app
from stack.cli.help import command_line, walk

ROOT = command_line(app)
COMMANDS = dict(walk(ROOT))
PATHS = sorted(COMMANDS)
# A word of a shell before the command: a variable. These are followed by another program or a file.
ASSIGNMENT, REDIRECTION = re.compile(r"^[A-Z_0-9]+=\S*$"), ("|", ">")
# StreamEvents as server-sent events, for callers without gRPC, and the sessions of browsers.
WITHOUT_COMMAND = {"TailEvents", "CreateSession", "GetSession", "EndSession"}
FOLDER = Path(__file__).parents[3] / "stack" / "cli"


def shown(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the help of a command as a person sees it."""
    ROOT.main([*path, "--help"], prog_name="mailmesh", standalone_mode=False)
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal so wide that no sentence is broken."""
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 240)


def parameters(path: tuple[str, ...]) -> list[Any]:
    command = COMMANDS[path]
    found: list[Any] = command.get_params(typer.Context(command, help_option_names=["-h", "--help"]))
    return found


def examples(text: str) -> Iterator[str]:
    """Gives the example lines of a help text."""
    _, _, block = text.partition("Examples:\n")
    yield from (line.strip() for line in block.partition("\n\n")[0].splitlines())


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_shows_no_control_sequence_and_no_type_of_python(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    help_text = shown(path, capsys)

    assert "Usage: mailmesh" in help_text
    assert re.findall(r"\\[a-z]\b|[\x00-\x09\x0b-\x1f]|<[a-z][a-z \[\]]*>", help_text) == []


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_first_line_is_a_sentence(path: tuple[str, ...]) -> None:
    first = COMMANDS[path].help.partition("\n")[0]

    assert re.fullmatch(r"[A-Z].{10,110}\.", first), first


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_each_option_and_argument_has_a_sentence_that_is_shown_whole(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    help_text = "".join(shown(path, capsys).split()).replace("│", "")
    for parameter in parameters(path):
        sentence = (parameter.help or "").replace("\\[", "[")
        assert re.fullmatch(r"[A-Z].*[.\]]", sentence), f"{parameter.name}: {sentence!r}"
        last_words = "".join(sentence.split())[-12:]
        assert last_words in help_text, f"{parameter.name}: {sentence!r}"


@pytest.mark.parametrize(
    "path", [path for path in PATHS if not getattr(COMMANDS[path], "commands", None)], ids=" ".join
)
def test_the_examples_are_commands_that_exist(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    for name, command in COMMANDS.items():
        if not getattr(command, "commands", None):
            monkeypatch.setattr(command, "callback", lambda _name=name, **_: called.append(_name))
    given = [words(example) for example in examples(COMMANDS[path].help.replace("\\[", "["))]
    for program, *arguments in given:
        assert program == "mailmesh"
        ROOT.main(arguments, prog_name="mailmesh", standalone_mode=False)

    assert [name[:-1] for name in called] == [path[:-1]] * len(given)
    assert set(called) <= {path, (*path[:-1], "get")}


def words(example: str) -> list[str]:
    """Returns the words of the command in an example, without variables, pipes and redirections."""
    found = [word for word in shlex.split(example) if not ASSIGNMENT.match(word)]
    ends = [found.index(mark) for mark in REDIRECTION if mark in found]
    return found[: min(ends, default=None)]


def test_every_rpc_of_the_key_door_has_a_command() -> None:
    source = "".join(path.read_text() for path in FOLDER.glob("*.py"))
    methods = {
        method
        for service in services(descriptor_path())
        if service.door == access_pb2.DOOR_KEY
        for method in service.methods
    }

    assert {method for method in methods if f".{method}(" not in source} == WITHOUT_COMMAND


def test_only_the_modules_that_make_text_harmless_write_to_the_terminal() -> None:
    writing = re.compile(r"typer\.(echo|secho)|sys\.(stdout|stderr)|(?<![.\w])print\(")
    found = {path.name for path in FOLDER.glob("*.py") if writing.search(path.read_text())}

    assert found == {"output.py", "exits.py"}


@pytest.mark.parametrize("option", ["--server", "--data"])
def test_a_general_option_behind_the_command_is_refused_with_its_place(option: str) -> None:
    with pytest.raises(Exception, match=f"No such option: {option}; it belongs before the command") as refused:
        ROOT.main(["tenants", "list", option, "x"], prog_name="mailmesh", standalone_mode=False)

    assert 2 == refused.value.exit_code  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_value_of_each_option_has_a_name(path: tuple[str, ...]) -> None:
    named = {one.name: one.metavar for one in parameters(path) if one.param_type_name == "option" and not one.is_flag}

    assert {name for name, metavar in named.items() if not metavar} == set()


def test_each_rpc_that_gets_one_thing_is_called_get() -> None:
    assert {path for path in PATHS if path and path[-1] == "show" and not COMMANDS[path].hidden} == set()


def test_what_release_0_1_called_show_still_exists() -> None:
    for group in ("tenants", "subscriptions", "events"):
        assert COMMANDS[group, "show"].hidden
        assert COMMANDS[group, "show"].callback is not None
