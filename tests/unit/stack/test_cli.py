"""The command line, without a mesh."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from stack.cli.meetings import days_of
from stack.cli.output import parse_time


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command line as a program."""
    command = (sys.executable, "-m", "stack", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_without_a_mesh_the_exit_code_says_unavailable(tmp_path: object) -> None:
    done = run("--data", str(tmp_path), "tenants", "list")

    assert done.returncode == 5
    assert re.search("no mesh is ready", done.stderr)
    assert done.stdout == ""


def test_wrong_usage_has_its_own_exit_code() -> None:
    assert run("tenants", "list", "--colour").returncode == 2


def test_without_a_key_the_exit_code_says_denied() -> None:
    assert run("--server", "127.0.0.1:1", "tenants", "list").returncode == 4


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_a_certificate_is_wrong_usage(tmp_path: Path, text: str) -> None:
    authorities, key = tmp_path / "ca.pem", tmp_path / "key"
    authorities.write_text(text)
    key.write_text("mm_key")
    done = run("--server", "127.0.0.1:1", "--ca-file", str(authorities), "--key-file", str(key), "tenants", "list")

    assert (2, f"mailmesh: {authorities} holds no certificate in PEM") == (done.returncode, done.stderr.strip())


@pytest.mark.parametrize("content", ["", "[]", '{"http": 1}', "[" * 200_000])
def test_a_damaged_record_of_the_mesh_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "ready.json").write_text(content)
    done = run("--data", str(tmp_path), "tenants", "list")

    assert (5, 1) == (done.returncode, done.stderr.count("\n"))
    assert "is damaged: restart `mailmesh up`" in done.stderr


@pytest.mark.parametrize("text", ["2026-11-21T12:00:00Z", "2026-11-21T13:00:00+01:00"])
def test_times_are_read_with_their_zone(text: str) -> None:
    stamp = parse_time(text)

    assert stamp is not None
    assert stamp.ToJsonString() == "2026-11-21T12:00:00Z"


def test_spans_are_times_before_now() -> None:
    hour, day = parse_time("1h"), parse_time("1d")

    assert hour is not None
    assert day is not None
    assert hour.seconds - day.seconds in (23 * 3600 - 1, 23 * 3600)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        parse_time("yesterday")


def test_a_span_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="is not a time"):
        parse_time("99999999999999d")


def test_a_file_that_an_option_names_and_that_is_missing_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("mm_key")
    done = run(
        "--server", "127.0.0.1:1", "--key-file", str(key), "--ca-file", str(tmp_path / "none"), "tenants", "list"
    )

    assert (done.returncode, done.stderr) == (1, f"mailmesh: {tmp_path / 'none'}: No such file or directory\n")


def test_the_days_of_today_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")

    assert ("America/New_York", "UTC") == (days_of(today=True), days_of(today=False))
