"""Runs a program that prints something and ends."""

import subprocess
from pathlib import Path

from stack.programs.program import Program
from stack.programs.running import ProgramError


def output_of(program: Program, folder: Path, timeout_seconds: float) -> str:
    """Run a program to its end, and return what it printed.

    Args:
        program: The program.
        folder: A private folder for the file with its variables.
        timeout_seconds: How long it may take.

    Raises:
        ProgramError: It failed; with its words.
    """
    environment = folder / f"{program.name}.env.json"
    program.write_environment(environment)
    command = program.tethered_command(environment)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    if done.returncode != 0:
        raise ProgramError(f"{program.name} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout
