"""Sizes that grow with an installation pass the whole mesh; a size that is too large is refused with a reason."""

import uuid

import httpx
import pytest

from tests.programs.mesh import Mesh

pytestmark = pytest.mark.timeout(300)
TENANTS = [str(uuid.UUID(int=number + (4 << 76) + (8 << 60))) for number in range(1000)]
LONG = ("c" * 9000, "c" * 60_000)


def client(mesh: Mesh, *, is_http2: bool = False) -> httpx.Client:
    """A client of the API with the admin key."""
    headers = {"authorization": f"Bearer {mesh.key}"}
    url = f"http://{mesh.ready.grpc}"
    return httpx.Client(base_url=url, headers=headers, http1=not is_http2, http2=is_http2, timeout=60, trust_env=False)


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the reason of a refusal."""
    return answer.status_code, answer.json()["details"][0]["reason"]


@pytest.mark.parametrize("is_http2", [False, True], ids=["http/1.1", "http/2"])
def test_a_filter_of_a_thousand_tenants_always_works(mesh: Mesh, *, is_http2: bool) -> None:
    with client(mesh, is_http2=is_http2) as api:
        for count in (250, 300, 500, 1000):
            query = [("filter.tenantIds", tenant) for tenant in TENANTS[:count]]
            answers = [api.get("/v1/events", params=query) for _ in range(5)]
            assert [200] * 5 == [answer.status_code for answer in answers], (count, answers[0].text)
        more = api.get("/v1/events", params=[("filter.tenantIds", tenant) for tenant in (*TENANTS, TENANTS[0])])

    assert (400, "FIELD_INVALID") == reason(more)


def test_a_long_cursor_is_an_invalid_cursor(mesh: Mesh) -> None:
    with client(mesh) as api:
        for cursor in LONG:
            listed = api.get("/v1/events", params={"cursor": cursor})
            streamed = api.get("/v1/events:stream", headers={"last-event-id": cursor})
            assert (400, "CURSOR_INVALID") == reason(listed)
            assert (400, "CURSOR_INVALID") == reason(streamed)


def test_long_headers_paths_and_values_are_no_accident(mesh: Mesh) -> None:
    with client(mesh) as api:
        for size in (9_000, 12_000, 30_000, 60_000):
            long = "a" * size
            header = {"x-large": long}
            assert 200 == api.get("/v1/tenants", headers=header).status_code
            assert 202 == api.post("/api/ms365/webhook", headers=header, json={"value": []}).status_code
            for answer in (
                api.get(f"/v1/events/{long}"),
                api.get(f"/v1/tenants/{long}"),
                api.get("/v1/tenants", params={"pageToken": long}),
                api.post("/v1/tenants:startAuthorization", json={"provider": long}),
                api.post("/v1/tenants:startAuthorization", json={"tenantId": long}),
                api.get("/auth/oauth/ms365/authorize", params={"ticket": long}),
            ):
                assert 400 <= answer.status_code < 429, (
                    answer.request.url.path[:40],
                    answer.status_code,
                    answer.text[:300],
                )
        large = api.get("/v1/events", headers={"x-large": "a" * 100_000})
    assert (431, "FIELD_INVALID") == reason(large)
