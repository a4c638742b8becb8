"""The first admin key: made by TokenVault's own command, kept in a file that only its owner may read."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from stack.errors import StartError
from stack.files import write_private
from stack.programs.program import Program
from stack.programs.tether import machine_environment

COMMAND_SECONDS = 30.0
CHECK_SECONDS = 10.0
UNAUTHORIZED = 401


def ensure_admin_key(path: Path, vault_environment: Mapping[str, str], edge_url: str) -> None:
    """Makes an admin key unless there is one that works. Safe to call again: yes.

    Args:
        path: The key's file, mode 0600.
        vault_environment: Variables of TokenVault's commands.
        edge_url: The edge, which is asked whether the key at hand works: the database may be another one by now.

    Raises:
        StartError: The command failed; the message has its output.
    """
    if not path.exists() or not _works(path.read_text().strip(), edge_url):
        write_private(path, _create(vault_environment) + "\n")


def _create(environment: Mapping[str, str]) -> str:
    command = (sys.executable, "-m", "services.token_vault", "create-admin-key", "--name", "mailmesh up")
    program = Program("create-admin-key", command, is_ready=bool)
    try:
        done = subprocess.run(
            program.tethered_command(),
            env={**machine_environment(), **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise StartError(f"no admin key could be made in {COMMAND_SECONDS:g} s") from fault
    if done.returncode != 0:
        raise StartError(f"no admin key could be made:\n{done.stderr.strip()}")
    return done.stdout.split()[-1]


def _works(key: str, edge_url: str) -> bool:
    request = urllib.request.Request(f"{edge_url}/v1/api-keys?pageSize=1", headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - our own edge
    try:
        with urllib.request.urlopen(request, timeout=CHECK_SECONDS):  # noqa: S310 - our own edge
            return True
    except urllib.error.HTTPError as answer:
        # Anything but a refusal says nothing against the key.
        return answer.code != UNAUTHORIZED
