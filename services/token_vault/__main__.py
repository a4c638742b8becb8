"""`python -m services.token_vault serve | migrate | restored | create-admin-key | rotate | settings`."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.commands import Migrate, add_way_back
from services.meshkit.errors import MeshError
from services.meshkit.logs import configure_logs
from services.meshkit.process import observed, run
from services.meshkit.settings import StoreSettings, load, reference
from services.token_vault.api_access.api_keys import ApiKeys
from services.token_vault.audit import COMMAND
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.rotate import KeyRotator, Rotation
from services.token_vault.migrate import migrations
from services.token_vault.restored import end_sessions
from services.token_vault.settings import NAME, RotateSettings, VaultSettings

EXIT_REFUSED = 1


class CommandRefused(Exception):  # noqa: N818 - it is reported, not handled
    """A command was refused; the message says why."""


async def serve(_arguments: argparse.Namespace, stop: asyncio.Event) -> None:
    """Serve until a signal stops the process."""
    # The other commands need neither the server nor the providers' libraries.
    from services.token_vault import server  # noqa: PLC0415
    from services.token_vault.issuers.http import hush_libraries  # noqa: PLC0415

    settings = load(VaultSettings)
    async with observed(NAME, settings):
        hush_libraries()
        await server.serve(settings, stop)


async def migrate(arguments: argparse.Namespace, stop: asyncio.Event) -> None:
    """Migrate the schema: forward to the last revision unless another one is named."""
    await Migrate(NAME, migrations)(stop, arguments.down_to)


async def restored(_arguments: argparse.Namespace, _stop: asyncio.Event) -> None:
    """End the sessions of browsers, after the database was restored from a backup."""
    settings = _store_settings()
    async with db.open_pool(settings.database_url, NAME) as pool:
        await end_sessions(pool, SystemClock())


async def create_admin_key(arguments: argparse.Namespace, _stop: asyncio.Event) -> None:
    """Make an admin key and print it, only this once."""
    settings = _store_settings()
    async with db.open_pool(settings.database_url, NAME) as pool:
        row, secret = await ApiKeys(pool, SystemClock()).create_admin(arguments.name, COMMAND)
    print(f"API key {row.api_key_id}, role admin. It is shown only this once:", file=sys.stderr)  # noqa: T201
    print(secret.reveal())  # noqa: T201 - the purpose of the command


async def rotate(arguments: argparse.Namespace, _stop: asyncio.Event) -> None:
    """Wrap every data key by one key while the service serves."""
    settings = load(RotateSettings)
    configure_logs(NAME, settings.log_level)
    ring = read_keys(settings.keys, settings.keys_file)
    async with db.open_pool(settings.database_url, NAME) as pool:
        _report(await KeyRotator(pool, ring, SystemClock()).rotate(arguments.to))


async def settings(_arguments: argparse.Namespace, _stop: asyncio.Event) -> None:
    """Print the reference of settings as a Markdown table."""
    print(reference(VaultSettings), end="")  # noqa: T201


def _store_settings() -> StoreSettings:
    found = load(StoreSettings)
    configure_logs(NAME, found.log_level)
    return found


def _report(rotation: Rotation) -> None:
    lines = [f"{rotation.rewrapped} data keys were rewrapped by {rotation.key_id}."]
    lines += [f"Tenant {tenant}: not opened, {reason}." for tenant, reason in sorted(rotation.unopened.items())]
    lines += [f"Key {key_id} wraps {count} data keys." for key_id, count in sorted(rotation.wrapped_by.items())]
    lines += [f"Key {key_id} is no longer needed: remove it from the settings." for key_id in rotation.retired]
    print("\n".join(lines))  # noqa: T201
    if rotation.unopened:
        raise CommandRefused("Some data keys could not be rewrapped; their old keys are still needed.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.token_vault", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _command(commands, "serve", serve)
    add_way_back(_command(commands, "migrate", migrate))
    _command(commands, "restored", restored)
    _command(commands, "create-admin-key", create_admin_key).add_argument("--name", default="first admin key")
    _command(commands, "rotate", rotate).add_argument(
        "--to", metavar="KEY_ID", default="", help="the key to wrap by; the first of the settings by default"
    )
    _command(commands, "settings", settings)
    return parser


def _command(
    commands: Any, name: str, work: Callable[[argparse.Namespace, asyncio.Event], Coroutine[Any, Any, None]]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=work.__doc__)
    parser.set_defaults(work=work)
    return parser


def main() -> int:
    """Run a command, and return its exit code: 0 done, 1 refused, 2 settings or schema are wrong."""
    arguments = _parser().parse_args()
    try:
        return run(lambda stop: arguments.work(arguments, stop))
    except MeshError as exc:
        print(f"{exc.reason}: {exc.message}", file=sys.stderr)  # noqa: T201
    except CommandRefused as exc:
        print(exc, file=sys.stderr)  # noqa: T201
    return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
