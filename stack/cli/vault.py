"""`mailmesh vault`: the keys that decrypt the stored credentials, on the machine of the mesh."""

import json
import subprocess
import sys
import time
from typing import Annotated

import typer

from services.meshkit.text import visible
from stack.cli.connection import target
from stack.cli.exits import CommandError, Exit
from stack.cli.output import YesOption, confirm, console, show, show_lines
from stack.data_directory import DataDirectory
from stack.files import write_private
from stack.programs.tether import machine_environment
from stack.vault_keys import new_vault_key

app = typer.Typer(
    no_args_is_help=True, help="Manage the keys that decrypt the stored credentials, on the machine of the mesh."
)
SERVICE = "token-vault"
KEY_RETIRING = "KEY_RETIRING"
ADOPT_SECONDS = 60.0
"""Processes read the file of keys every five seconds, and count as live for half a minute after their last sign."""
ASK_SECONDS = 0.5
ROTATE_SECONDS = 600.0


@app.callback()
def vault() -> None:
    """Manage the keys that decrypt the stored credentials, on the machine of the mesh."""


@app.command()
def rotate(
    context: typer.Context,
    *,
    retire: Annotated[
        bool,
        typer.Option("--retire", help="Remove the old keys afterwards; credentials in old backups are lost then."),
    ] = False,
    yes: YesOption = False,
) -> None:
    """Make a new key-encryption key and wrap every data key with it while the mesh runs.

    The command adds the new key to the file vault.keys of the data directory: keep a copy of it apart from the
    database. It restarts nothing: the rotation starts when every running process has read the key. Run the command
    again to finish an interrupted rotation.

    Examples:
      mailmesh vault rotate
      mailmesh vault rotate --retire --yes
    """
    wanted = target(context)
    wanted.ready()
    data = DataDirectory(wanted.data.resolve())
    if retire:
        confirm("No key will decrypt the credentials in old backups of the database. Continue?", yes=yes)
    keys = data.vault_keys.read_text(encoding="utf-8").splitlines()
    added = new_vault_key(time.strftime("%Y-%m-%d-%H%M%S"))
    write_private(data.vault_keys, "\n".join((added, *keys)) + "\n")
    show(_rotated(data))
    if retire:
        write_private(data.vault_keys, added + "\n")
        show(f"{len(keys)} old keys are removed from {data.vault_keys}; running processes drop them within seconds")


def _rotated(data: DataDirectory) -> str:
    """Rotates as soon as every live process has read the new key from the file, and returns the result.

    Raises:
        CommandError: TokenVault refused, or a process did not read the key in time.
    """
    with console.status("Waiting until every process has read the new key") as status:
        deadline = time.monotonic() + ADOPT_SECONDS
        while (done := _command(data, "rotate")).returncode != 0:
            reason, said = _failure(done.stderr)
            if reason != KEY_RETIRING:
                show_lines(done.stdout)
                raise CommandError(said or f"the rotation ended with {done.returncode}")
            if time.monotonic() > deadline:
                log = data.logs / f"{SERVICE}.log"
                raise CommandError(f"{said} Nothing was changed; read {log}", Exit.UNAVAILABLE)
            status.update(visible(said))
            time.sleep(ASK_SECONDS)
    return done.stdout.strip()


def _failure(errors: str) -> tuple[str, str]:
    """Returns the reason, empty without one, and the sentence of the last line of a command of TokenVault."""
    last = errors.strip().rpartition("\n")[2]
    if not last.startswith("{"):
        return "", last
    line = json.loads(last)
    return line.get("reason", ""), line.get("message", line["event"])


def _command(data: DataDirectory, verb: str) -> "subprocess.CompletedProcess[str]":
    """Runs one of TokenVault's own commands with the service's settings."""
    told = json.loads((data.environments / f"{SERVICE}.json").read_text(encoding="utf-8"))
    return subprocess.run(
        (sys.executable, "-m", "services.token_vault", verb),
        env={**machine_environment(), **told},
        capture_output=True,
        text=True,
        timeout=ROTATE_SECONDS,
        check=False,
    )
