"""A program in each language lists, follows and fails as it should, against the mesh's own plumbing and a real edge."""

from pathlib import Path

import pytest

from tests.clients.programs import Program, build
from tests.clients.served import ADMIN_KEY, STALE_CURSOR, ServedEdge

# Building comes first, and a Go build from nothing takes its time.
pytestmark = pytest.mark.timeout(400)

EVENTS = [
    "mail.created\ttenant-0\tNr. 1: ünï",
    "mail.created\ttenant-0\tNr. 2: ünï",
    "tenant.disabled\ttenant-1\tby_operator",
    "mail.created\ttenant-0\tNr. 4: ünï",
    "mail.created\ttenant-0\tNr. 5: ünï",
    "tenant.disabled\ttenant-1\tby_operator",
    "mail.created\ttenant-0\tNr. 7: ünï",
    "mail.created\ttenant-0\tNr. 8: ünï",
    "tenant.disabled\ttenant-1\tby_operator",
]


@pytest.fixture(scope="module", params=["python", "typescript", "typescript-web", "go"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    return build(request.param, tmp_path_factory.mktemp(request.param))


async def test_tenants_are_listed_over_all_pages(program: Program, edge: ServedEdge) -> None:
    status, lines, complaint = await program.run(edge.url, ADMIN_KEY, "tenants")

    assert (status, complaint) == (0, "")
    assert lines == [
        f"tenant-{number}\t{('ms365', 'googlews')[number % 2]}\tactive\tperson{number}@example.com"
        for number in range(5)
    ]


async def test_a_failure_is_told_by_its_reason(program: Program, edge: ServedEdge) -> None:
    assert await program.run(edge.url, ADMIN_KEY, "tenant", "nobody") == (1, [], "there is no tenant nobody\n")


async def test_a_wrong_key_is_told(program: Program, edge: ServedEdge) -> None:
    status, lines, complaint = await program.run(edge.url, "mm_wrong", "tenants")

    assert (status, lines, complaint) == (1, [], "the API key is not good (any more)\n")


async def test_events_are_followed_across_interruptions_and_restarts(
    program: Program, edge: ServedEdge, tmp_path: Path
) -> None:
    cursor = tmp_path / "cursor"
    status, first, _ = await program.run(edge.url, ADMIN_KEY, "tail", str(cursor), "5")
    assert (status, cursor.read_text()) == (0, "5")

    status, second, _ = await program.run(edge.url, ADMIN_KEY, "tail", str(cursor), "4")
    assert (status, cursor.read_text()) == (0, "9")

    assert first + second == EVENTS


async def test_a_reader_that_was_away_too_long_goes_on_from_the_oldest_event(
    program: Program, edge: ServedEdge, tmp_path: Path
) -> None:
    cursor = tmp_path / "cursor"
    cursor.write_text(STALE_CURSOR)
    status, lines, complaint = await program.run(edge.url, ADMIN_KEY, "tail", str(cursor), "3")

    assert (status, complaint) == (0, "CURSOR_EXPIRED: events were missed\n")
    assert lines == EVENTS[6:]
