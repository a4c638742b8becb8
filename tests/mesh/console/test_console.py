"""The console in Chromium, against the running mesh with both simulated providers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.mesh.console.connecting import ENVIRONMENT, connecting
from tests.mesh.console.hostile import hostile, quieten
from tests.mesh.console.walking import CHROMIUM, ENDS_AFTER, HOSTILE, TOOLS, newcomer, prepared, walked
from tests.mesh.delivery.receiver import OK, Receiver, receiving
from tests.programs.mesh import Mesh, running_mesh
from tests.programs.toolchains import require

pytestmark = [
    pytest.mark.timeout(1000),
    pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason="no Chromium is installed"),
]
STEPS = {"newcomer.mjs": 10, "walk.mjs": 21, "lookups.mjs": 9, "looks.mjs": 13, "connect.mjs": 7}


@pytest.fixture(autouse=True)
def _tools() -> None:
    require("node", "node_modules/playwright-core/cli.js")


@pytest.fixture(scope="module")
def given(mesh: Mesh) -> dict[str, Any]:
    return prepared(mesh)


def walk(program: str, given: dict[str, Any]) -> None:
    """Run a walk: each of its steps is reached, and none has a fault."""
    steps = walked(program, given)

    assert {step["step"]: step["error"] for step in steps if step["error"]} == {}
    assert len(steps) == STEPS[program]


@contextmanager
def out_of_order() -> Iterator[Receiver]:
    """A receiver that refuses each webhook until its endpoint gives it up, and takes it when it comes once more."""
    with receiving() as receiver:
        receiver.text = HOSTILE["html"].encode() + "\u202e out of order".encode()
        receiver.answer = lambda _content, earlier: OK if earlier >= ENDS_AFTER else (500, {})
        yield receiver


def test_a_new_user_connects_repairs_and_recovers_without_the_command_line(mesh: Mesh) -> None:
    with out_of_order() as receiver:
        walk("newcomer.mjs", newcomer(mesh, receiver.url))

    assert 200 in {webhook.status for webhook in receiver.webhooks}


def test_a_person_walks_through_the_console(given: dict[str, Any]) -> None:
    walk("walk.mjs", given)


def test_a_person_searches_answers_ends_and_cancels(given: dict[str, Any]) -> None:
    require(str(TOOLS / "grpcurl"), "curl")

    walk("lookups.mjs", given)


def test_mailboxes_without_an_owners_sign_in_are_connected(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("connect") / "d"
    with running_mesh(data, environment=ENVIRONMENT) as mesh:
        walk("connect.mjs", connecting(mesh))


def test_each_page_is_for_all_eyes_sizes_and_keys(given: dict[str, Any]) -> None:
    walk("looks.mjs", given)


def test_hostile_content_runs_leaves_and_covers_nothing_on_any_page(mesh: Mesh) -> None:
    prepared_account = hostile(mesh)
    try:
        steps = walked("hostile.mjs", prepared_account)
    finally:
        quieten(mesh, prepared_account)

    assert {step["step"]: step["error"] for step in steps if step["error"]} == {}
    assert len(steps) == len(prepared_account["pages"]) + 5
