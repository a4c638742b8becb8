"""The commands on the pages work as they stand there."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.clients.served import ADMIN_KEY, ServedEdge
from tests.programs.toolchains import require
from tools.generate.protos import CACHE, ROOT

pytestmark = pytest.mark.timeout(300)

PAGES = ["examples/grpcurl/README.md", "docs/tutorial/first-events.md"]
BIN = CACHE / "go" / "bin"
# grpcurl's statuses are 64 and the gRPC code; curl's 28 and gRPC's 4 mean that the time given on the page was over.
TIME_IS_OVER = {"curl": 28, "grpcurl": 64 + 4}
NOT_FOUND = 64 + 5


def commands() -> list[str]:
    """Returns every curl, grpcurl and ghz command of the pages, continued lines joined."""
    blocks = [block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.startswith(("curl ", "grpcurl ", "ghz "))]


async def run(command: str, edge: ServedEdge, folder: Path) -> tuple[int, str, str]:
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "MAILMESH_URL": edge.url,
        "MAILMESH_EDGE": edge.address,
        "MAILMESH_API_KEY": ADMIN_KEY,
    }
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, complaint = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), complaint.decode()


@pytest.mark.parametrize("command", commands())
async def test_a_command_of_a_page_does_what_it_says(command: str, edge: ServedEdge) -> None:
    program = command.split(maxsplit=1)[0]
    require(str(BIN / program) if program in {"grpcurl", "ghz"} else program)
    status, output, complaint = await run(command, edge, ROOT)

    if "nobody" in command:
        assert "TENANT_NOT_FOUND" in output + complaint
        assert status in {0, NOT_FOUND}
    elif "max-time" in command:
        assert status in {0, TIME_IS_OVER[program], 64 + 14}, complaint
        assert "tenant-0" in output
    else:
        assert status == 0, complaint
        assert output
        assert program != "ghz" or "[OK]" in output


def test_there_are_commands_for_both_ways_to_the_edge() -> None:
    assert {command.split(maxsplit=1)[0] for command in commands()} == {"curl", "grpcurl", "ghz"}
