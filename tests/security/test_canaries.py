"""No credential is exposed anywhere, and mail content is only in Processor's own tables."""

from dataclasses import dataclass

import pytest

from tests.programs.collector import Collector
from tests.programs.mesh import Mesh, eventually
from tests.security import places
from tests.security.places import RedisEar, found_in
from tests.security.scenario import Scenario

pytestmark = pytest.mark.timeout(400)
PROCESSOR_TABLES = "table processor."
CALLBACK = b"/auth/oauth/googlews/callback"


@dataclass(frozen=True)
class Day:
    """A scenario that was run, and the places that could contain its secrets."""

    scenario: Scenario
    places: dict[str, bytes]


@pytest.fixture(scope="module")
def day(mesh: Mesh, collector: Collector) -> Day:
    ear, url = RedisEar(), places.redis_url(mesh)
    scenario = Scenario(mesh)
    with ear.listening(url):
        scenario.play()
    eventually(lambda: CALLBACK in places.traces(collector)["traces"], what="the edge's spans")
    # Envoy writes its log lines every few seconds; the last account was the last to return to the callback.
    eventually(lambda: CALLBACK in places.logs(mesh)["log envoy.log"], what="the edge's lines")
    searched = {
        **places.logs(mesh),
        **places.metrics(mesh),
        **places.traces(collector),
        **places.processes(mesh),
        **places.database(mesh),
        **ear.content(url),
        "answers": b"\n".join(scenario.answers),
    }
    return Day(scenario, searched)


def test_no_credential_lies_open_anywhere(day: Day) -> None:
    assert set() == found_in(day.scenario.secrets, day.places)


def test_no_content_of_a_mail_lies_outside_of_the_store(day: Day) -> None:
    found = found_in(day.scenario.content, day.places)

    assert set() == {(name, place) for name, place in found if not place.startswith(PROCESSOR_TABLES)}


def test_the_search_finds_stored_values(day: Day) -> None:
    """Without this the other tests prove nothing: mail is in the store, compressed, and no place is empty."""
    found = found_in(day.scenario.content, day.places)

    assert {name for name, place in found if place.startswith(PROCESSOR_TABLES)} == {"text", "html", "subject"}
    for name in ("traces", "redis commands", "table vault.tenants", "table ingest.subscriptions", "metrics ingest-1"):
        assert day.places[name], f"nothing in {name}"
    wanted = {"ticket", "state", "code", "cookie", "clientState", "access token", "refresh token", "API key"}
    assert wanted <= {name for name, values in day.scenario.secrets.items() if values}


def test_a_secret_in_a_requested_address_leaves_no_trace(day: Day) -> None:
    """The edge logs a line for each request, and none of them has a query."""
    assert b"/auth/oauth/ms365/authorize" in day.places["log envoy.log"]
    assert b"ticket=" not in day.places["log envoy.log"]


@pytest.mark.parametrize("name", ["client secret", "key-encryption key"])
def test_only_token_vault_receives_the_keys_to_credentials(mesh: Mesh, day: Day, name: str) -> None:
    told = {
        process
        for process, variables in places.environments(mesh).items()
        for secret in day.scenario.secrets[name]
        if secret.encode() in variables
    }
    assert told <= {"token-vault"}


def test_each_process_receives_only_its_own_database_address(mesh: Mesh, day: Day) -> None:
    secrets = day.scenario.secrets["database password"]
    told = {
        process: sum(secret.encode() in variables for secret in secrets)
        for process, variables in places.environments(mesh).items()
    }

    assert {1} == {told[name] for name in ("token-vault", "ingest-1", "processor", "worker-1")}
    assert {0} == {told[name] for name in ("envoy", "redis", "postgres", "simulator")}
