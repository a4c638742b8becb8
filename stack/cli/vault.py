"""`mailmesh vault`: the keys that open the stored credentials. Only on the machine where the mesh runs."""

import json
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.markup import escape

from stack.cli.connection import target
from stack.cli.exits import CommandError, Exit
from stack.cli.output import YesOption, confirm, console
from stack.data_directory import DataDirectory
from stack.files import write_private
from stack.programs.tether import machine_environment
from stack.vault_keys import new_vault_key

app = typer.Typer(no_args_is_help=True, help="The keys that open the stored credentials.")
SERVICE = "token-vault"
KEY_RETIRING = "KEY_RETIRING"
ADOPT_SECONDS = 60.0
"""Processes read the file of keys every five seconds, and count as live for half a minute after their last sign."""
ASK_SECONDS = 0.5
ROTATE_SECONDS = 600.0


@app.callback()
def vault() -> None:
    """The keys that open the stored credentials."""


@app.command()
def rotate(
    context: typer.Context,
    *,
    retire: Annotated[
        bool,
        typer.Option("--retire", help="Then take the old keys out of the file: old backups cannot be opened any more."),
    ] = False,
    yes: YesOption = False,
) -> None:
    r"""Make a new key-encryption key and wrap every data key by it, while the mesh goes on.

    The new key is added to the data directory's vault.keys: keep a copy of it apart from the database. Nothing is
    restarted: the rotation begins when every running process has read the key. One that was interrupted is finished
    by running it again.

    \b
    Examples:
      mailmesh vault rotate
      mailmesh vault rotate --retire --yes
    """
    wanted = target(context)
    wanted.ready()
    data = DataDirectory(wanted.data.resolve())
    if retire:
        confirm("Old backups of the database will hold credentials that nothing can open. Go on?", yes=yes)
    keys = data.vault_keys.read_text(encoding="utf-8").splitlines()
    added = new_vault_key(time.strftime("%Y-%m-%d-%H%M%S"))
    write_private(data.vault_keys, "\n".join((added, *keys)) + "\n")
    typer.echo(_rotated(data))
    if retire:
        write_private(data.vault_keys, added + "\n")
        console.print(
            f"{len(keys)} old keys are gone from {data.vault_keys}; running processes drop them within seconds",
            soft_wrap=True,
        )


def _rotated(data: DataDirectory) -> str:
    """Rotates as soon as every live process has read the new key from the file, and returns what came of it.

    Raises:
        CommandError: It was refused, or a process did not take up the key in time.
    """
    with console.status("Waiting until every process has read the new key") as status:
        deadline = time.monotonic() + ADOPT_SECONDS
        while (done := _command(data, "rotate")).returncode != 0:
            reason, said = _failure(done.stderr)
            if reason != KEY_RETIRING:
                typer.echo(done.stdout, nl=False)
                raise CommandError(escape(said) or f"`rotate` ended with {done.returncode}")
            if time.monotonic() > deadline:
                log = data.logs / f"{SERVICE}.log"
                raise CommandError(f"{escape(said)} Nothing was changed; {log} says why", Exit.UNAVAILABLE)
            status.update(escape(said))
            time.sleep(ASK_SECONDS)
    return done.stdout.strip()


def _failure(errors: str) -> tuple[str, str]:
    """Returns the reason, empty without one, and the sentence of what a command of TokenVault said last."""
    last = errors.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return "", last
    line = json.loads(last)
    return line.get("reason", ""), line.get("message", line["event"])


def _command(data: DataDirectory, verb: str) -> "subprocess.CompletedProcess[str]":
    """Runs one of TokenVault's own commands with what the stack told the service."""
    told = json.loads((data.environments / f"{SERVICE}.json").read_text(encoding="utf-8"))
    return subprocess.run(
        (sys.executable, "-m", "services.token_vault", verb),
        env={**machine_environment(), **told},
        capture_output=True,
        text=True,
        timeout=ROTATE_SECONDS,
        check=False,
    )
