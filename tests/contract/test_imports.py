"""The import contracts fail when a forbidden import returns."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("services", "simulator", "stack", "gateway")

FORBIDDEN = [
    pytest.param(
        "services/processor/mailbox/dispatcher.py",
        "from services.processor.mail.store import lookups",
        "Processor's wings",
        id="the lease knows what a mail is",
    ),
    pytest.param(
        "services/processor/mailbox/transaction.py",
        "from services.processor.stream.publish import publish",
        "Processor's wings",
        id="a wing knows its neighbour",
    ),
    pytest.param(
        "services/processor/mail/gmail_history.py",
        "from services.processor.mail.gmail_reconcile import reconcile_by_time",
        "No cycles anywhere",
        id="Gmail's history and comparison import each other",
    ),
    pytest.param(
        "services/processor/mail/decide.py",
        "from services.processor.servicers.events import EventServicer",
        "Processor's wings",
        id="a decision knows an RPC",
    ),
]


@pytest.mark.parametrize(("path", "arrow", "contract"), FORBIDDEN)
def test_the_contracts_fail_when_a_forbidden_import_comes_back(
    tmp_path: Path, path: str, arrow: str, contract: str
) -> None:
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mailmesh").symlink_to(_ROOT / "gen/python/mailmesh")
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / path).open("a") as module:
        module.write(f"\n{arrow}\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode == 1, done.stdout + done.stderr
    assert any(line.startswith(contract) for line in broken), done.stdout


def test_a_program_that_serves_imports_nothing_of_the_migrations() -> None:
    """Alembic and SQLAlchemy would double the processor time of its start, and cost 24 MiB of memory."""
    programs = (
        "token_vault.server",
        "ingest.server",
        "processor.server",
        "processor.worker",
        "delivery.server",
        "primitives.server",
    )
    script = "; ".join(
        ["import sys", *(f"import services.{name}" for name in programs), "print(*sys.modules, sep='\\n')"]
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, check=True)

    assert not {"alembic", "mako", "sqlalchemy"} & set(done.stdout.splitlines())
