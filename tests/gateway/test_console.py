"""The console's files at the edge: their headers, and the paths that lead nowhere."""

from pathlib import Path

import httpx
import pytest

from gateway.console import INDEX, console, read_console
from tests.gateway.conftest import Edge

ELSEWHERE = (
    "/console/index.html",
    "/console/missing.js",
    "/console/..%2fpackage.json",
    "/console/%2e%2e/src/main.tsx",
    "/console/../pyproject.toml",
    "/console//etc/passwd",
    "/console/dist/",
    "/consoles/",
)


async def test_the_page_and_its_files_are_served_packed_without_a_key(edge: Edge) -> None:
    found = console()
    assert found is not None

    for file in found.files:
        answer = await edge.client.get(file.path, headers={"accept-encoding": "gzip"})
        name = file.path.removeprefix("/console/") or INDEX
        assert (200, (found.folder / name).read_bytes()) == (answer.status_code, answer.content), file
        assert file.cache_control == answer.headers["cache-control"]
        assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
        assert ("nosniff", "DENY") == (answer.headers["x-content-type-options"], answer.headers["x-frame-options"])
        if len(answer.content) > 1000:
            assert answer.headers["content-encoding"] == "gzip"
    assert edge.seen.calls == []


async def test_the_page_is_asked_for_each_time_and_its_files_are_kept(edge: Edge) -> None:
    found = console()
    assert found is not None
    page = await edge.client.get("/console/")
    without_slash = await edge.client.get("/console")

    assert (301, "/console/") == (without_slash.status_code, httpx.URL(without_slash.headers["location"]).path)
    assert ("no-cache", "text/html; charset=utf-8") == (page.headers["cache-control"], page.headers["content-type"])
    kept = [file for file in found.files if file.path != "/console/"]
    assert kept
    assert all("immutable" in file.cache_control for file in kept)


async def test_no_other_path_is_served_and_files_are_only_read(edge: Edge) -> None:
    for path in ELSEWHERE:
        url = httpx.URL(f"http://127.0.0.1:{edge.port}").copy_with(raw_path=path.encode())
        answer = await edge.client.get(url)
        assert answer.status_code in (400, 404), path
        assert "html" not in answer.headers["content-type"], path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert (await edge.client.request(method, "/console/")).status_code == 404


async def test_other_answers_may_still_not_run(edge: Edge) -> None:
    answer = await edge.client.get("/v1/tenants")

    assert ("default-src 'none'; frame-ancestors 'none'", "no-store") == (
        answer.headers["content-security-policy"],
        answer.headers["cache-control"],
    )


@pytest.mark.parametrize("name", ["link.js", "folder", "notes.txt", "app.js.map", ".DS_Store"])
def test_anything_but_a_build_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    (tmp_path / INDEX).write_text("x")
    if name == "link.js":
        (tmp_path / name).symlink_to("/etc/passwd")
    elif name == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text("x")

    found = read_console(tmp_path)

    assert ["/console/"] == [file.path for file in found.files]
    assert (tmp_path / name,) == found.left_out
    assert [name in warning for warning in found.warnings] == [True]


def test_a_page_that_is_a_link_is_not_served(tmp_path: Path) -> None:
    (tmp_path / INDEX).symlink_to("/etc/passwd")

    assert ((), (tmp_path / INDEX,)) == (read_console(tmp_path).files, read_console(tmp_path).left_out)
