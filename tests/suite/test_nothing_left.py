"""A run of the suite leaves no process and no file behind, also one that is interrupted or loses a worker."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.programs.mesh import eventually
from tests.suite.sample import Sample
from tools.generate.protos import ROOT

pytestmark = pytest.mark.timeout(300)
GONE_SECONDS = 60.0
# The fixtures are ours, the suite is not: its folder is a root of its own.
FIXTURES = """
    names = ("environment", "forks", "certificates", "postgres", "redis", "simulator")
    pytest_plugins = [f"tests.programs.{name}" for name in names]
"""
PROGRAMS = """
    import os
    import subprocess
    import sys
    import time
    from pathlib import Path

    HERE = Path(__file__).parent

    def test_many_programs(postgres, shared_redis, simulator, tmp_path):
        # A careless test: it never ends this process, which has a session of its own and an empty environment.
        stray = subprocess.Popen(
            (sys.executable, "-c", "import time; time.sleep(600)"), env={}, start_new_session=True, cwd=tmp_path
        )
        stray.returncode = 0
        postgres.migrated_database("ingest")
        (tmp_path / "file").touch()
        (HERE / "memory").write_text(os.environ.get("TESTS_IN_MEMORY", ""))
        (HERE / "begun").touch()
        time.sleep(600 if (HERE / "waits").exists() else 0)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for the temporary files of a run. Its path is short, as that of the real one is."""
    with tempfile.TemporaryDirectory(prefix="mp-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def programs(tmp_path: Path, place: Path) -> Sample:
    """A suite whose only test starts PostgreSQL, Redis and the simulated providers."""
    sample = Sample(tmp_path, environment={"TMPDIR": str(place)})
    sample.write("conftest.py", FIXTURES)
    sample.write("test_programs.py", PROGRAMS)
    return sample


def processes_of(place: Path) -> list[str]:
    """The processes that run in a folder or know it: by environment, arguments or working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and any(str(place) in word for word in words):
            found.append(" ".join(process.cmdline()) or process.name())
    return found


def a_worker_of(runner: psutil.Process) -> psutil.Process:
    """The worker of pytest-xdist, which is the parent of the programs."""
    (postgres, *_) = [one for one in runner.children(recursive=True) if Path(one.exe()).name == "postgres"]
    while Path(postgres.exe()).name == "postgres":
        postgres = postgres.parent()
    return postgres


def memory_of(programs: Sample) -> Path:
    """The folder in memory that a run had; on a machine with little memory it is the folder on the disk."""
    told = (programs.folder / "memory").read_text()
    assert told
    return Path(told)


def test_a_run_that_ends_leaves_nothing(programs: Sample, place: Path) -> None:
    ended = programs.run()

    assert 0 == ended.code, ended
    assert "1 passed, 0 failed, 0 skipped" == ended.lines[-1]
    assert [] == processes_of(place)
    assert [] == list(place.iterdir())
    assert not memory_of(programs).exists()


HURTS: dict[str, Callable[[psutil.Process], None]] = {
    "SIGINT": lambda runner: runner.send_signal(signal.SIGINT),
    "SIGTERM": lambda runner: runner.send_signal(signal.SIGTERM),
    "a worker is killed": lambda runner: a_worker_of(runner).kill(),
}


@pytest.mark.parametrize("hurt", HURTS)
def test_a_run_that_is_hurt_leaves_nothing(programs: Sample, place: Path, hurt: str) -> None:
    (programs.folder / "waits").touch()
    process = programs.start()
    eventually((programs.folder / "begun").exists, what="the programs run")
    began = time.monotonic()
    assert processes_of(place)

    HURTS[hurt](psutil.Process(process.pid))
    output, _ = process.communicate(timeout=GONE_SECONDS)

    assert process.returncode in (1, 130), output
    assert [] == processes_of(place), output
    assert [] == list(place.iterdir()), output
    assert not memory_of(programs).exists(), output
    assert time.monotonic() - began < GONE_SECONDS


def test_a_folder_that_cannot_be_removed_does_not_keep_the_other(tmp_path: Path) -> None:
    program = f"""
import shutil
from pathlib import Path
from tools.suite import sandbox

sandbox.IN_MEMORY, sandbox.memory_is_roomy = Path({str(tmp_path)!r}), lambda: True
with sandbox.Sandbox() as one:
    print(one.folder, flush=True)
    shutil.rmtree(one.memory)
"""
    command = (sys.executable, "-c", program)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

    assert "FileNotFoundError" in done.stderr
    assert not Path(done.stdout.strip()).exists()
