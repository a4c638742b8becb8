"""The processes of services load no packages for terminals."""

import subprocess
import sys

import pytest

_PROGRAM = """
import sys, {program}, {server}
print(*(name for name in {names} if sys.modules.get(name)))
"""
NAMES = ("rich", "pygments", "grpc_tools.protoc", "typer")
SERVERS = {
    "ingest": "server", "processor": "worker", "token_vault": "server", "delivery": "server", "primitives": "server",
}  # fmt: skip


@pytest.mark.parametrize("service", SERVERS)
def test_a_service_loads_no_packages_for_terminals(service: str) -> None:
    program, server = f"services.{service}.__main__", f"services.{service}.{SERVERS[service]}"
    code = _PROGRAM.format(program=program, server=server, names=NAMES)
    found = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60)
    assert not found.stdout.strip()


def test_they_are_loaded_without_the_module_that_keeps_them_out() -> None:
    code = "import sys, structlog, httpx; print(*(name for name in ('rich', 'pygments') if sys.modules.get(name)))"
    found = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60)
    assert "rich pygments" == found.stdout.strip(), "else the module is useless"
