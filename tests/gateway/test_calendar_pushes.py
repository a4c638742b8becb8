"""The door of Google Calendar's channels at the edge: headers alone, no key, the bounds of webhooks."""

import asyncio

import pytest

from tests.gateway.conftest import Edge, StartEdge, error_of

PATH = "/api/googlews/calendar"
HEADERS = {
    "X-Goog-Channel-ID": "019a9f0e-7c1e-7000-8000-000000000001",
    "X-Goog-Channel-Token": "a-secret",
    "X-Goog-Channel-Expiration": "Sat, 05 Dec 2026 09:00:00 GMT",
    "X-Goog-Resource-ID": "o3hg",
    "X-Goog-Resource-URI": "https://www.googleapis.com/calendar/v3/calendars/x/events?alt=json",
    "X-Goog-Resource-State": "exists",
    "X-Goog-Message-Number": "10",
    "User-Agent": "APIs-Google",
}


async def test_a_push_without_content_brings_its_headers_to_the_service(edge: Edge) -> None:
    answer = await edge.client.post(PATH, headers=HEADERS)

    assert (204, b"") == (answer.status_code, answer.content)
    rpc, request, metadata = edge.seen.last
    assert ("ReceiveCalendarPush", b"") == (rpc, request.payload.data)
    assert {name.lower(): value for name, value in HEADERS.items() if name != "User-Agent"}.items() <= metadata.items()


@pytest.mark.parametrize("content", [b"{}", b"\x00\xff", b"x" * 65_536])
async def test_a_push_with_content_is_answered_like_any_other(edge: Edge, content: bytes) -> None:
    answer = await edge.client.post(PATH, headers=HEADERS, content=content)

    assert 204 == answer.status_code


async def test_identity_headers_of_a_push_from_outside_are_taken_off(edge: Edge) -> None:
    forged = {"x-mailmesh-tenants": "*", "x-mailmesh-role": "admin", "x-mailmesh-push-claims": "forged"}

    assert 204 == (await edge.client.post(PATH, headers=HEADERS | forged)).status_code

    assert not forged.keys() & edge.seen.last[2].keys()


async def test_other_methods_and_paths_below_it_are_unknown(edge: Edge) -> None:
    answers = [
        await edge.client.get(PATH),
        await edge.client.put(PATH, headers=HEADERS),
        await edge.client.post(f"{PATH}/more", headers=HEADERS),
    ]

    assert {404} == {answer.status_code for answer in answers}


async def test_a_header_that_is_too_large_is_refused(edge: Edge) -> None:
    answer = await edge.client.post(PATH, headers=HEADERS | {"X-Goog-Channel-Token": "x" * 200_000})

    assert answer.status_code in {400, 431}


async def test_a_flood_is_answered_503_so_that_google_repeats(start_edge: StartEdge) -> None:
    edge = await start_edge(webhooks_per_second=1, webhooks_burst=3)

    answers = await asyncio.gather(*(edge.client.post(PATH, headers=HEADERS) for _ in range(40)))

    assert {204, 503} == {answer.status_code for answer in answers}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (14, "SERVICE_UNAVAILABLE") == error_of(refused)


async def test_content_over_the_bound_is_refused(start_edge: StartEdge) -> None:
    edge = await start_edge(webhook_body_bytes=4096)

    assert 413 == (await edge.client.post(PATH, headers=HEADERS, content=b"x" * 5000)).status_code
