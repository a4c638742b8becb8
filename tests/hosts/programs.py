"""Programs on hosts."""

from dataclasses import dataclass, fields
from pathlib import Path

from typing_extensions import override

from stack.programs.program import Program
from tests.hosts.wire import Host


@dataclass(frozen=True)
class HostProgram(Program):
    """A program that runs on a host."""

    host: Host | None = None

    @override
    def tethered_command(self, environment_file: Path | None = None) -> tuple[str, ...]:
        assert self.host is not None
        return self.host.command(*super().tethered_command(environment_file))


def on_host(program: Program, host: Host) -> HostProgram:
    """Return the same program for a host."""
    return HostProgram(**{one.name: getattr(program, one.name) for one in fields(Program)}, host=host)
