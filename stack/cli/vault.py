"""`mailmesh vault`: the keys that open the stored credentials. Only on the machine where the mesh runs."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from stack.cli.connection import target
from stack.cli.exits import CommandError, Exit
from stack.cli.output import YesOption, confirm, console
from stack.data_directory import DataDirectory
from stack.files import write_private
from stack.programs.running import wait_until
from stack.programs.services import is_serving
from stack.programs.tether import machine_environment
from stack.ready import Ready
from stack.supervision.supervisor import Supervisor
from stack.vault_keys import new_vault_key

app = typer.Typer(no_args_is_help=True, help="The keys that open the stored credentials.")
SERVICE = "token-vault"
RESTART_SECONDS = 60.0
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

    The new key is added to the data directory's vault.keys: keep a copy of it apart from the database. A rotation
    that was interrupted is finished by running it again with the same file.

    \b
    Examples:
      mailmesh vault rotate
      mailmesh vault rotate --retire --yes
    """
    wanted = target(context)
    data, ready = DataDirectory(wanted.data.resolve()), wanted.ready()
    if retire:
        confirm("Old backups of the database will hold credentials that nothing can open. Go on?", yes=yes)
    keys = data.vault_keys.read_text(encoding="utf-8").splitlines()
    added = new_vault_key(time.strftime("%Y-%m-%d-%H%M%S"))
    with console.status("Loading the new key"):
        write_private(data.vault_keys, "\n".join((added, *keys)) + "\n")
        _restart(data, ready)
    with console.status("Wrapping the data keys"):
        typer.echo(_command(data, "rotate"))
    if retire:
        write_private(data.vault_keys, added + "\n")
        _restart(data, ready)
        console.print(f"{len(keys)} old keys are gone from {data.vault_keys}", soft_wrap=True)


def _command(data: DataDirectory, verb: str) -> str:
    """Runs one of TokenVault's own commands with what the stack told the service, and returns what it says."""
    command = (sys.executable, "-m", "services.token_vault", verb)
    told = json.loads((data.environments / f"{SERVICE}.json").read_text(encoding="utf-8"))
    done = subprocess.run(
        command,
        env={**machine_environment(), **told},
        capture_output=True,
        text=True,
        timeout=ROTATE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(done.stderr.strip() or f"`{verb}` ended with {done.returncode}")
    return done.stdout.strip()


def _restart(data: DataDirectory, ready: Ready) -> None:
    """Restarts TokenVault, so that it reads its keys anew; callers wait a moment and try again by themselves."""
    supervisor = Supervisor(data.root / "supervisor.conf", Path(ready.supervisor), data.logs, RESTART_SECONDS)
    supervisor.stop_program(SERVICE)
    supervisor.start_program(SERVICE)
    port = json.loads(data.ports.read_text(encoding="utf-8"))[SERVICE]
    operator = data.certificates.identity("operator")
    if not wait_until(lambda: is_serving(port, SERVICE, operator), RESTART_SECONDS):
        raise CommandError(f"{SERVICE} did not come back; see {data.logs / SERVICE}.log", Exit.UNAVAILABLE)
