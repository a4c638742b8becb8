"""The doctor tries the Pub/Sub subscription that Gmail's notifications are pulled from, at the simulated Google."""

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stack.diagnosis.pulling import gmail_findings, pull_findings
from stack.simulated import SimulatorControl
from tests.programs.simulator import RunningSimulator

NAME = "projects/mailmesh-simulator/subscriptions/gmail-pull"
STRANGER = "other@mailmesh-simulator.iam.gserviceaccount.com"


@pytest.fixture
def control(simulator: RunningSimulator) -> SimulatorControl:
    return SimulatorControl(str(simulator.ready["controlUrl"]))


def found(
    simulator: RunningSimulator,
    settings: Mapping[str, str] | None = None,
    *,
    offline: bool = False,
    is_running: bool = False,
    credentials: str = "",
) -> list[tuple[str, str]]:
    """The findings as severity and fact."""
    given = {
        "MAILMESH_GOOGLEWS_PUBSUB_URL": simulator.settings["MAILMESH_GOOGLEWS_PUBSUB_URL"],
        "MAILMESH_GOOGLEWS_PUBSUB_TOPIC": "projects/mailmesh-simulator/topics/gmail",
        "MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION": NAME,
    } | {f"MAILMESH_GOOGLEWS_PUBSUB_{name}": value for name, value in (settings or {}).items()}
    given |= {"GOOGLE_APPLICATION_CREDENTIALS": credentials} if credentials else {}
    trust = ssl.create_default_context(cafile=str(simulator.ca_file))
    return [(one.grade.value, one.fact) for one in pull_findings(given, trust, offline=offline, is_running=is_running)]


def key(control: SimulatorControl, **facts: Any) -> str:
    return json.dumps(control.call("POST", "pubsub/key", **facts))


def test_a_subscription_that_can_be_pulled_is_good(simulator: RunningSimulator, control: SimulatorControl) -> None:
    control.call("PATCH", "pubsub/pull", exists=True)
    assert found(simulator, {"KEY": key(control)}) == [("good", f"{NAME} can be pulled")]


@pytest.mark.parametrize("fault", ["missing", "stranger", "no key", "other name", "no topic"])
def test_each_fault_is_named(simulator: RunningSimulator, control: SimulatorControl, fault: str) -> None:
    control.call("PATCH", "pubsub/pull", exists=fault != "missing")
    settings = {
        "stranger": {"KEY": key(control, address=STRANGER)},
        "no key": {"KEY": "{}"},
        "other name": {"SUBSCRIPTION": "gmail-pull", "KEY": key(control)},
        "no topic": {"TOPIC": "", "KEY": key(control)},
    }
    [(verdict, fact)] = found(simulator, settings.get(fault, {"KEY": key(control)}))
    told = {
        "missing": "refuses to deliver",
        "stranger": "may not pull",
        "no key": "cannot be read",
        "other name": "no subscription's name",
        "no topic": "no topic",
    }
    assert verdict == "bad"
    assert told[fault] in fact


def test_nothing_is_tried_offline_and_nothing_is_said_without_a_subscription(simulator: RunningSimulator) -> None:
    assert found(simulator, offline=True)[0][0] == "warning"
    assert found(simulator, {"SUBSCRIPTION": ""}) == []


def test_the_key_of_a_running_ingest_is_tried_and_never_our_own(
    simulator: RunningSimulator, control: SimulatorControl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.call("PATCH", "pubsub/pull", exists=True)
    strangers, ours = tmp_path / "stranger.json", tmp_path / "ours.json"
    strangers.write_text(key(control, address=STRANGER))
    ours.write_text(key(control))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(ours))

    [(verdict, fact)] = found(simulator, is_running=True)
    assert ("warning", True) == (verdict, "no key is set" in fact)
    assert [("good", f"{NAME} can be pulled")] == found(simulator)
    [(verdict, fact)] = found(simulator, is_running=True, credentials=str(strangers))
    assert ("bad", True) == (verdict, "may not pull" in fact)


def test_the_pull_is_checked_without_a_client_id() -> None:
    given = {"MAILMESH_GOOGLEWS_PUBSUB_SUBSCRIPTION": "gmail-pull"}
    trust = ssl.create_default_context()
    facts = [one.name for one in gmail_findings(given, trust, offline=True, is_running=False)]

    assert ["Gmail topic", "Gmail pull"] == facts
    assert [] == list(gmail_findings({}, trust, offline=True, is_running=False))
