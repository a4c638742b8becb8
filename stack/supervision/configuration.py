"""Writes supervisord's configuration for a set of programs."""

import configparser
import io
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from stack.files import write_private
from stack.programs.program import Program

# A program that lives this long counts as started; one that dies earlier is tried again 1, 2, 3, ... seconds later.
STARTED_AFTER_SECONDS = 3
# Then the launcher takes over and starts it again: nothing is given up for good.
START_RETRIES = 8
LOG_BYTES = "20MB"
LOG_BACKUPS = 3


def write_configuration(
    path: Path, socket: Path, stages: Sequence[Sequence[Program]], logs: Path, environments: Path
) -> None:
    """Writes the configuration and a file with the variables of each program.

    Args:
        path: The configuration file; readable by its owner only.
        socket: Unix socket for commands.
        stages: Programs in the order of their start; those of one stage start and stop together.
        logs: Folder for the log files.
        environments: Private folder for the programs' variables.

    Safe to call again: yes.
    """
    # supervisord expands %(...)s itself.
    parser = configparser.RawConfigParser()
    parser["supervisord"] = _main_section(path, logs)
    parser["unix_http_server"] = {"file": str(socket), "chmod": "0600"}
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for number, stage in enumerate(stages, start=1):
        if stage:
            # supervisord stops group after group, the last one first.
            names = ",".join(program.name for program in stage)
            parser[f"group:{stage_name(number)}"] = {"programs": names, "priority": str(number)}
        for program in stage:
            environment = environments / f"{program.name}.json"
            program.write_environment(environment)
            parser[f"program:{program.name}"] = _program_section(program, logs, environment)
    text = io.StringIO()
    parser.write(text)
    write_private(path, text.getvalue())


def stage_name(number: int) -> str:
    """Returns the name of the group of a stage, counted from 1."""
    return f"stage-{number}"


def _main_section(path: Path, logs: Path) -> dict[str, str]:
    # With this line it does not warn that it runs as root.
    user = {"user": "root"} if os.geteuid() == 0 else {}
    return user | {
        "nodaemon": "true",
        "silent": "true",
        "logfile": _escape(str(logs / "supervisor.log")),
        "logfile_maxbytes": LOG_BYTES,
        "logfile_backups": "1",
        "pidfile": _escape(str(path.with_suffix(".pid"))),
        "childlogdir": _escape(str(logs)),
        "directory": _escape(str(path.parent)),
        "umask": "022",
    }


def _program_section(program: Program, logs: Path, environment: Path) -> dict[str, str]:
    return {
        "command": _escape(shlex.join(program.tethered_command(environment))),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": str(STARTED_AFTER_SECONDS),
        "startretries": str(START_RETRIES),
        "stopsignal": program.stop_signal,
        "stopwaitsecs": str(max(1, round(program.stop_seconds))),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _escape(str(logs / f"{program.name}.log")),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": str(LOG_BACKUPS),
    }


def _escape(text: str) -> str:
    return text.replace("%", "%%")
