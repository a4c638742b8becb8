"""Start Processor: `python -m services.processor serve|work|migrate|add-lanes|seal-cursors|new-epoch|restored`."""

import asyncio
import secrets
import sys

import services.meshkit.absent  # noqa: F401 - before structlog and httpx
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.commands import Command, Migrate, run_command
from services.meshkit.db import open_pool
from services.meshkit.settings import StoreSettings, load
from services.processor.migrate import migrations
from services.processor.stream.cursor_seal import KEY_BYTES
from services.processor.stream.epoch import begin_epoch
from services.processor.stream.store import event_log, features


async def serve(stop: asyncio.Event) -> None:
    """Serve events and follow the tenants' changes until stopped."""
    from services.processor.server import serve as serve_until  # noqa: PLC0415 - a worker needs none of the server

    await serve_until(stop)


async def work(stop: asyncio.Event) -> None:
    """Process mailboxes until stopped."""
    from services.processor.worker import work as work_until  # noqa: PLC0415 - a server needs none of the worker

    await work_until(stop)


async def add_lanes(_stop: asyncio.Event) -> None:
    """Let publishers use all lanes of the stream, once no process of a release without lanes runs."""
    async with open_pool(load(StoreSettings).database_url, "processor add-lanes") as pool, db.connection(pool) as one:
        await event_log.add_lanes(one)


async def seal_cursors(_stop: asyncio.Event) -> None:
    """Seal the cursors of readers of some tenants, once no process of a release that cannot read these runs."""
    key = secrets.token_bytes(KEY_BYTES)
    url = load(StoreSettings).database_url
    async with open_pool(url, "processor seal-cursors") as pool, db.transaction(pool) as one:
        await event_log.begin_sealing(one, key)
        await features.note(one, features.SEALED_CURSORS)


async def new_epoch(_stop: asyncio.Event) -> None:
    """Refuse every cursor issued so far, so that every consumer starts over."""
    async with open_pool(load(StoreSettings).database_url, "processor new-epoch") as pool:
        await begin_epoch(pool)


async def restored(_stop: asyncio.Event) -> None:
    """Make every send without an outcome uncertain, after the database was restored from a backup."""
    from services.processor.restored import doubt_writes, settle_sends  # noqa: PLC0415 - the other commands need none of it

    async with open_pool(load(StoreSettings).database_url, "processor restored") as pool:
        await settle_sends(pool, SystemClock())
        await doubt_writes(pool)


COMMANDS: dict[str, Command] = {
    "serve": serve,
    "work": work,
    "migrate": Migrate("processor", migrations),
    "add-lanes": add_lanes,
    "seal-cursors": seal_cursors,
    "new-epoch": new_epoch,
    "restored": restored,
}


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name."""
    return run_command("processor", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
