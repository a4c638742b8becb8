"""The suite's runner: a second try for the few that fail, none for what is worse, and one line to close with."""

import re
import signal

from tests.programs.mesh import eventually
from tests.suite.sample import Ended, Sample

GOOD = """
    import pytest

    def test_good():
        pass

    def test_skipped():
        pytest.skip("not here")

    @pytest.mark.serial
    def test_alone():
        pass
"""
FLAKY = """
    from pathlib import Path

    def test_flaky():
        tried = Path(__file__).with_name("tried")
        has_been_tried = tried.exists()
        tried.touch()
        assert has_been_tried
"""
BAD = """
    from pathlib import Path

    def test_bad():
        with Path(__file__).with_name("tries").open("a") as tries:
            tries.write("x")
        raise ZeroDivisionError
"""
CRASHING = """
    import os
    from pathlib import Path

    def test_crashing():
        with Path(__file__).with_name("crashes").open("a") as crashes:
            crashes.write("x")
        os._exit(3)
"""
CLEANUP = """
    import pytest

    @pytest.fixture
    def dirty():
        yield
        raise ZeroDivisionError

    def test_it_works_and_cannot_clean_up(dirty):
        pass
"""
MANY = """
    import pytest

    @pytest.mark.parametrize("number", range(10))
    def test_number(number):
        assert number < 0
"""
COUNTS = re.compile(r"\d+ (passed|failed)")


def counts_of(ended: Ended) -> list[str]:
    """The lines of the output that a reader could take for the counts of the suite."""
    return [line for line in ended.lines if COUNTS.search(line)]


def test_a_suite_that_passes_closes_with_its_counts_alone(sample: Sample) -> None:
    sample.write("test_good.py", GOOD)

    ended = sample.run()

    assert 0 == ended.code, ended
    assert ["2 passed, 0 failed, 1 skipped"] == counts_of(ended)
    assert "2 passed, 0 failed, 1 skipped" == ended.lines[-1]


def test_a_flaky_test_passes_at_the_second_try_and_is_named(sample: Sample) -> None:
    sample.write("test_good.py", GOOD)
    sample.write("test_flaky.py", FLAKY)
    sample.write("test_bad.py", BAD)

    ended = sample.run("-k", "not bad")

    assert 0 == ended.code, ended
    wanted = ["passed at the second try: test_flaky.py::test_flaky", "3 passed, 0 failed, 1 skipped"]
    assert wanted == ended.lines[-2:]
    assert wanted[1:] == counts_of(ended)


def test_a_test_that_fails_twice_fails_the_suite(sample: Sample) -> None:
    sample.write("test_good.py", GOOD)
    sample.write("test_flaky.py", FLAKY)
    sample.write("test_bad.py", BAD)
    sample.write("test_cleanup.py", CLEANUP)

    ended = sample.run()

    assert 1 == ended.code, ended
    assert [
        "failed: test_bad.py::test_bad",
        "failed: test_cleanup.py::test_it_works_and_cannot_clean_up",
        "passed at the second try: test_flaky.py::test_flaky",
        "3 passed, 2 failed, 1 skipped",
    ] == ended.lines[-4:]
    assert "xx" == (sample.folder / "tries").read_text()


def test_more_failures_than_ten_get_no_second_try(sample: Sample) -> None:
    sample.write("test_bad.py", BAD)
    sample.write(
        "test_many.py", "import pytest\n@pytest.mark.parametrize('n', range(10))\ndef test_n(n): assert n < 0\n"
    )

    ended = sample.run()

    assert 1 == ended.code, ended
    assert "0 passed, 11 failed, 0 skipped" == ended.lines[-1]
    assert "x" == (sample.folder / "tries").read_text()


def test_a_crash_fails_the_suite_without_a_second_try(sample: Sample) -> None:
    sample.write("test_good.py", GOOD)
    sample.write("test_flaky.py", FLAKY)
    sample.write("test_crashing.py", CRASHING)

    ended = sample.run()

    assert 1 == ended.code, ended
    assert "fault: a worker crashed while it ran test_crashing.py::test_crashing" in ended.lines
    assert not [line for line in ended.lines if "second try" in line]
    assert "x" == (sample.folder / "crashes").read_text()


def test_a_crash_of_the_only_process_fails_the_suite(sample: Sample) -> None:
    sample.write("test_crashing.py", CRASHING)

    ended = Sample(sample.folder, environment=sample.environment, workers="0").run()

    assert 1 == ended.code, ended
    assert ["fault: pytest ended with exit code 3", "0 passed, 0 failed, 0 skipped"] == ended.lines[-2:]


def test_a_file_that_cannot_be_collected_fails_the_suite_without_a_second_try(sample: Sample) -> None:
    sample.write("test_flaky.py", FLAKY)
    sample.write("test_broken.py", "import no_such_module\n")

    ended = sample.run()

    assert 1 == ended.code, ended
    assert "fault: test_broken.py cannot be collected" in ended.lines
    assert "0 passed, 0 failed, 0 skipped" == ended.lines[-1]


def test_a_run_that_ends_at_its_first_failure_is_not_taken_for_whole(sample: Sample) -> None:
    sample.write("test_flaky.py", FLAKY)
    sample.write("test_good.py", GOOD)

    ended = Sample(sample.folder, environment=sample.environment, workers="0").run("-x")

    assert 1 == ended.code, ended
    assert "fault: the run ended early: stopping after 1 failures" in ended.lines


def test_a_suite_without_tests_says_so_by_its_exit_code(sample: Sample) -> None:
    sample.write("test_good.py", GOOD)

    ended = sample.run("-k", "nothing_has_this_name")

    assert 5 == ended.code, ended
    assert "0 passed, 0 failed, 0 skipped" == ended.lines[-1]


def test_an_interrupted_run_is_a_failure_and_says_so(sample: Sample) -> None:
    sample.write(
        "test_long.py",
        """
        import time
        from pathlib import Path

        def test_long():
            Path(__file__).with_name("begun").touch()
            time.sleep(100)
        """,
    )
    process = sample.start()
    eventually((sample.folder / "begun").exists, 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert 130 == process.returncode, output
    assert "fault: the run was interrupted" in output.splitlines()
    assert "0 passed, 0 failed, 0 skipped" == output.splitlines()[-1]


def test_under_load_each_test_that_needed_a_second_try_is_named(sample: Sample) -> None:
    sample.write("test_flaky.py", FLAKY)
    loaded = Sample(sample.folder, "tools.suite.load", sample.environment)

    ended = loaded.run("--runs", "2", "--loops", "1")

    assert 0 == ended.code, ended
    assert "1 of 2 runs: passed at the second try: test_flaky.py::test_flaky" in ended.lines
    assert "2 of 2 runs passed" == ended.lines[-1]


BUSY = """
    import subprocess, sys, time

    def test_busy():
        subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.5: pass"], check=True)
"""


def test_a_part_names_the_files_that_took_the_most_cpu_child_processes_included(sample: Sample) -> None:
    sample.write("test_busy.py", BUSY)
    sample.write("test_good.py", GOOD)

    ended = sample.run()

    (seconds,) = [float(line.split()[0]) for line in ended.lines if line.endswith("s of CPU: test_busy.py")]
    assert seconds >= 0.5
