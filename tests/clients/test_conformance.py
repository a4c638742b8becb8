"""Each client passes the conformance suite, and the page says what its report says."""

import asyncio

import pytest

from clients.builds import CLIENTS, Program
from clients.conformance.__main__ import reports_of
from clients.conformance.cases import CASES
from clients.conformance.run import WEBHOOKS, run
from clients.conformance.table import PAGE, cell, column
from tests.clients.building import built

# Building comes first, and a build from nothing takes its time.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_passes_the_suite(name: str) -> None:
    client = CLIENTS[name]
    built(client)
    for report in reports_of(client):
        assert report.failed == {}
        assert column(PAGE.read_text(), report.client) == [
            cell(report, case) for case in [*(case.name for case in CASES), WEBHOOKS]
        ]


def test_the_suite_finds_a_client_that_does_not_answer() -> None:
    """A program that reads the cases and is silent fails every one of them."""
    report = asyncio.run(run("silent", Program(("sh", "-c", "cat > /dev/null"))))

    assert set(report.failed) == {*(case.name for case in CASES), WEBHOOKS}
