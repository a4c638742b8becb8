"""Programs in Python share the modules of all services, and each shows its own metrics alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.supervision import nursery

# The fork runs a module that prints what it has: in place of the service, whose command would need its servers.
SOURCE = """
import sys
import services.meshkit.absent
from stack.supervision import nursery
nursery.warm()
def show(module, arguments):
    from prometheus_client import REGISTRY
    for family in REGISTRY.collect():
        if family.name.startswith("mailmesh_"):
            print(family.name)
    return 0
nursery._run = show
import os
from argparse import Namespace
options = Namespace(environment="", user=None, signal="TERM", program=[sys.executable, "-m", {module!r}, "serve"])
if os.fork() == 0:
    nursery.become("one", options)
os.wait()
"""
HOLDERS = """
import os
from services.meshkit import erasing_marks
if os.fork() == 0:
    print(erasing_marks._process(), flush=True)
    os._exit(0)
os.wait()
print(erasing_marks._process())
"""
OWN = {
    "services.token_vault": "mailmesh_vault_",
    "services.ingest": "mailmesh_ingest_",
    "services.processor": "mailmesh_processor_",
    "services.delivery": "mailmesh_delivery_",
    "services.primitives": "mailmesh_primitives_",
    "services.workflows": "mailmesh_workflow_",
}


@pytest.mark.skipif(not nursery.CAN_FORK, reason="programs fork on Linux only")
@pytest.mark.parametrize("module", OWN)
def test_a_fork_shows_the_metrics_of_its_own_service_and_of_all_processes(module: str) -> None:
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        (sys.executable, "-c", SOURCE.format(module=module)),
        capture_output=True, text=True, timeout=120, check=True, cwd=root, env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    shown = done.stdout.split()

    assert not [name for name in shown if name.startswith(tuple(set(OWN.values()) - {OWN[module]}))], done.stderr
    assert [name for name in shown if name.startswith(OWN[module])]
    assert "mailmesh_loop_runs" in shown


def test_no_two_forks_hold_the_leases_of_an_erasure_under_one_name() -> None:
    done = subprocess.run((sys.executable, "-c", HOLDERS), capture_output=True, text=True, timeout=60, check=True)

    assert 2 == len(set(done.stdout.split()))
