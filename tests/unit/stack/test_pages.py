"""Pages and the contract name commands and options of the command line that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from stack.cli.app import app
from stack.cli.help import command_line, walk

REPOSITORY = Path(__file__).parents[3]
ROOT = command_line(app)
COMMANDS = dict(walk(ROOT))
GENERAL = {"--data", "--server", "--key-file", "--ca-file"}
# Between backticks, in an indented block, or in a fenced one: behind a prompt, a folder, a variable or another command.
QUOTED = re.compile(r"`mailmesh ([^`]+)`")
BLOCK = re.compile(r"(?:\A|\n\n)((?: {4}[^\n]*(?:\n|$))+)|^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"(?:^ *|bin/|=\S+ )mailmesh ([^\n|>#&;]+)", re.MULTILINE)


def pages() -> list[str]:
    folders = ("docs", "proto", "examples", "changelog.d")
    found = [
        path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.suffix in {".md", ".proto"}
    ]
    return sorted(str(path.relative_to(REPOSITORY)) for path in (*REPOSITORY.glob("*.md"), *found))


def named(text: str) -> Iterator[list[str]]:
    """Give the words behind `mailmesh` of each command in a page."""
    text = text.replace("\\\n", " ")
    quoted = [" ".join(one.split()) for one in QUOTED.findall(text)]
    lines = [line for block in BLOCK.finditer(text) for line in LINE.findall(block[0])]
    yield from (line.split() for line in (*quoted, *lines))


def fault(words: list[str]) -> str:
    """Return the first word that the command line does not know; empty when it knows all."""
    while words and words[0].startswith("-"):
        words = words[2 if words[0] in GENERAL else 1 :]
    path = next((tuple(words[:length]) for length in (2, 1) if tuple(words[:length]) in COMMANDS), ())
    command = COMMANDS[path]
    if getattr(command, "commands", None) and words[len(path) :] and re.fullmatch(r"[a-z-]+", words[len(path)]):
        return " ".join(words[: len(path) + 1])
    context = typer.Context(command, help_option_names=["-h", "--help"])
    known = {option for one in command.get_params(context) for option in (*one.opts, *one.secondary_opts)}
    given = words[: words.index("--")] if "--" in words else words
    options = [re.split(r"[=.,:)]", word)[0] for word in given if re.match(r"--[a-z]", word)]
    return next((f"{' '.join(path)} {option}" for option in options if option not in known), "")


@pytest.mark.parametrize("name", pages())
def test_a_page_names_commands_and_options_that_exist(name: str) -> None:
    faults = {fault(words) for words in named((REPOSITORY / name).read_text())}

    assert faults - {""} == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Call `mailmesh tenants get TENANT`.", ""),
        ("Call `mailmesh --server h:1 tenants\nget TENANT --json`.", ""),
        ("mailmesh connects accounts.", ""),
        ("    mailmesh simulate -- --seed 7\n", ""),
        ("Call `mailmesh tenants obtain`.", "tenants obtain"),
        ("```sh\n.venv/bin/mailmesh events follow | head\n```\n", "events follow"),
        ("    mailmesh tenants list --server h:1\n", "tenants list --server"),
        ("Call `mailmesh fetch`.", "fetch"),
    ],
)
def test_commands_and_options_that_do_not_exist_are_found(text: str, found: str) -> None:
    assert found == next((one for words in named(text) if (one := fault(words))), "")
