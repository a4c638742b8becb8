"""The migrations runner against a real PostgreSQL."""

import asyncio
import importlib
from pathlib import Path

import asyncpg
import pytest

from services.meshkit.db import DatabaseLimits
from services.meshkit.errors import Conflict, StoreUnavailable
from services.meshkit.migrations import Migrations
from services.meshkit.schema import Schema, SchemaError
from services.meshkit.secret import Secret
from stack.programs.running import ProgramError
from tests.programs.migrations import migrate
from tests.programs.postgres import PostgresProgram

SCHEMA = "things"
FIRST = """
revision = "0001"
down_revision = None

from alembic import op

def upgrade():
    op.execute("CREATE TABLE things.one (id int PRIMARY KEY)")

def downgrade():
    op.execute("DROP TABLE things.one")
"""
SECOND = """
revision = "0002"
down_revision = "0001"

from alembic import op

def upgrade():
    op.execute("CREATE TABLE things.two (id int PRIMARY KEY)")
    {more}

def downgrade():
    op.execute("DROP TABLE things.two")
"""


def history(folder: Path, *, more: str = "") -> Path:
    """A folder of two migrations."""
    versions = folder / "versions"
    versions.mkdir(parents=True)
    (versions / "0001_one.py").write_text(FIRST)
    (versions / "0002_two.py").write_text(SECOND.format(more=more))
    return folder


@pytest.fixture
def url(postgres: PostgresProgram) -> Secret:
    return Secret(postgres.empty_database("ingest").admin_url)


@pytest.fixture
def migrations(url: Secret, tmp_path: Path) -> Migrations:
    return Migrations(url, Schema(SCHEMA, history(tmp_path)))


async def tables(url: Secret) -> set[str]:
    connection = await asyncpg.connect(url.reveal())
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", SCHEMA)
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_an_empty_database_is_brought_to_the_head(migrations, url):
    await migrations.upgrade()

    assert {"one", "two", "alembic_version"} == await tables(url)
    assert ("0002", "0002") == (await migrations.current(), migrations.head)


async def test_migrations_go_down_and_up_again(migrations, url):
    await migrations.upgrade()
    await migrations.downgrade("0001")
    down = await tables(url)
    await migrations.downgrade("base")
    bottom = await tables(url), await migrations.current()
    await migrations.upgrade()

    assert {"one", "alembic_version"} == down
    assert ({"alembic_version"}, "") == bottom
    assert "0002" == await migrations.current()


async def test_migrating_again_changes_nothing(migrations):
    await migrations.upgrade()
    await migrations.upgrade()

    assert "0002" == await migrations.current()


async def test_several_processes_may_migrate_at_the_same_time(migrations):
    await asyncio.gather(*(migrations.upgrade() for _ in range(5)))

    assert "0002" == await migrations.current()


async def test_a_failed_migration_leaves_the_ones_before_it_and_nothing_of_itself(url, tmp_path):
    migrations = Migrations(url, Schema(SCHEMA, history(tmp_path, more='op.execute("SELECT 1/0")')))

    with pytest.raises(Exception, match="division by zero"):
        await migrations.upgrade()

    assert {"one", "alembic_version"} == await tables(url)
    assert "0001" == await migrations.current()


async def test_a_program_does_not_start_on_another_revision(migrations, url, tmp_path):
    schema = Schema(SCHEMA, tmp_path)
    with pytest.raises(SchemaError, match="is at nothing, this program needs 0002"):
        await schema.check(url)
    await migrations.upgrade("0001")
    with pytest.raises(SchemaError, match="is at 0001"):
        await schema.check(url)
    await migrations.upgrade()
    await schema.check(url)


async def test_a_rollback_to_an_earlier_release_is_refused_by_name_and_changes_nothing(migrations, url, tmp_path):
    await migrations.upgrade()
    before = await tables(url)
    (tmp_path / "versions" / "0002_two.py").unlink()
    earlier = Schema(SCHEMA, tmp_path)
    refusal = (
        "is at 0002, which this release does not know; its last one is 0001. A later release has migrated the "
        "database: start that release, let it go back by `migrate --down-to 0001`, or"
    )

    for attempt in (
        earlier.check(url),
        Migrations(url, earlier).upgrade(),
        Migrations(url, earlier).downgrade("base"),
    ):
        with pytest.raises(SchemaError, match=refusal):
            await attempt
    assert before == await tables(url)


@pytest.mark.parametrize(("target", "reason"), [("0009", "locate revision"), ("0002", "0002")])
async def test_a_way_back_that_there_is_not_is_refused_by_name(migrations, target, reason):
    await migrations.upgrade("0001")

    with pytest.raises(SchemaError, match=f"things does not go back to {target}, it is at 0001: .*{reason}"):
        await migrations.downgrade(target)


async def test_a_number_of_several_steps_is_refused_as_a_repeated_attempt_would_count_them_from_another_revision(
    migrations,
):
    await migrations.upgrade()

    with pytest.raises(SchemaError, match="goes back by -1 or to a revision, not by -2"):
        await migrations.downgrade("-2")
    assert "0002" == await migrations.current()
    await migrations.downgrade("-1")
    assert "0001" == await migrations.current()


async def test_a_step_back_that_would_lose_data_is_refused_with_its_reason(url, tmp_path):
    versions = history(tmp_path) / "versions"
    refuses = "op.execute(\"DO $$ BEGIN RAISE EXCEPTION 'it is sealed'; END $$\")"
    versions.joinpath("0001_one.py").write_text(FIRST.replace('op.execute("DROP TABLE things.one")', refuses))
    migrations = Migrations(url, Schema(SCHEMA, tmp_path))
    await migrations.upgrade()

    with pytest.raises(SchemaError, match=r"things does not go back to base, it is at 0001: .*it is sealed"):
        await migrations.downgrade("base")


SERVICES = ("token_vault", "ingest", "processor", "delivery", "workflows")


@pytest.mark.parametrize("service", SERVICES)
async def test_the_command_of_each_service_goes_back_and_forward_again(
    postgres: PostgresProgram, tmp_path: Path, service: str
) -> None:
    database = postgres.empty_database(service)
    moves = importlib.import_module(f"services.{service}.migrate").migrations(Secret(database.url))
    revisions = []
    for arguments in ((), ("--down-to", "base"), ()):
        migrate(service, database.url, tmp_path / "log", *arguments)
        revisions.append(await moves.current())
    with pytest.raises(ProgramError, match="does not go back to 9999"):
        migrate(service, database.url, tmp_path / "log", "--down-to", "9999")

    assert [moves.head, "", moves.head] == revisions
    postgres.drop(database)


@pytest.mark.parametrize("service", SERVICES)
def test_the_head_that_a_program_expects_is_the_head_of_its_history(service: str) -> None:
    migrate = importlib.import_module(f"services.{service}.migrate")

    assert migrate.SCHEMA.head == migrate.migrations(Secret("postgresql://anybody@127.0.0.1:1/x")).head


async def test_a_role_that_owns_only_its_schema_can_migrate(postgres: PostgresProgram, tmp_path):
    own = postgres.empty_database("ingest")
    for file in (history(tmp_path) / "versions").iterdir():
        file.write_text(file.read_text().replace("things.", "ingest."))
    migrations = Migrations(Secret(own.url), Schema("ingest", tmp_path))

    await migrations.upgrade()

    assert "0002" == await migrations.current()


async def test_a_lock_that_another_process_holds_is_a_conflict_in_time(migrations, monkeypatch):
    monkeypatch.setattr(
        "services.meshkit.migrations._LIMITS",
        DatabaseLimits(lock_seconds=0.2),
    )
    monkeypatch.setattr("services.meshkit.migrations._LONGEST_PAUSE_SECONDS", 0.0)
    async with migrations._connection() as connection, migrations._alone(connection):
        with pytest.raises(Conflict):
            await migrations.upgrade()


DEADLOCK = """
op.execute("LOCK TABLE things.one, things.other")
"""
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'things.other'::regclass)"


async def test_a_step_that_meets_a_deadlock_with_a_running_service_is_repeated(url, tmp_path):
    migrations = Migrations(url, Schema(SCHEMA, history(tmp_path, more=DEADLOCK.strip())))
    await migrations.upgrade("0001")
    service, watch = await asyncpg.connect(url.reveal()), await asyncpg.connect(url.reveal())
    # PostgreSQL ends the one that finds the deadlock: the migration, which looks after some seconds.
    name = await watch.fetchval("SELECT quote_ident(current_database())")
    await watch.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '3s'")
    await service.execute("SET deadlock_timeout = '60s'")
    await watch.execute("CREATE TABLE things.other (id int PRIMARY KEY)")
    transaction = service.transaction()
    await transaction.start()
    await service.execute("INSERT INTO things.other VALUES (1)")
    moving = asyncio.create_task(migrations.upgrade())
    while not await watch.fetchval(WAITS):
        await asyncio.sleep(0.02)
    await service.execute("INSERT INTO things.one VALUES (1)")
    await transaction.commit()
    await moving

    assert "0002" == await migrations.current()
    assert 1 == await watch.fetchval("SELECT count(*) FROM things.one")
    for connection in (service, watch):
        await connection.close()


async def test_a_database_that_is_away_is_unavailable(tmp_path):
    schema, url = Schema(SCHEMA, history(tmp_path)), Secret("postgresql://nobody@127.0.0.1:1/x")

    with pytest.raises(StoreUnavailable):
        await schema.check(url)
    with pytest.raises(StoreUnavailable):
        await Migrations(url, schema).upgrade()
