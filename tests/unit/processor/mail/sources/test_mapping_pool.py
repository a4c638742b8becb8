"""Long mails are mapped in processes that a mail may end and that leave nothing behind."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from services.processor.mail.sources import findings, gmail_mapping, graph_mapping
from services.processor.mail.sources.findings import Failed, Found, mapped_by
from services.processor.mail.sources.mapped import MappedMessage
from services.processor.mail.sources.mapping_pool import MappingError, MappingLimits, MappingPool
from services.processor.mail.sources.mapping_tasks import has_many_members
from services.processor.mailbox.failures import Remedy, SourceError, classify
from services.processor.mailbox.parsing import MAX_PARSED_BYTES
from services.providers.names import GOOGLEWS, MS365
from tests.programs.mesh import eventually
from tests.unit.message.growth import ATTEMPTS
from tests.unit.message.long_mails import GOOGLE, MICROSOFT, Raw, of_header, of_html, of_parts, part

WAIT_SECONDS = 60.0
LONG = of_html("<p>Grüße</p>" * 9000)


@pytest.fixture(scope="module")
def pool() -> Iterator[MappingPool]:
    """A pool with the limits of a worker, but for the time that a busy machine takes."""
    yield from _opened(MappingLimits(deadline_seconds=300.0))


def _opened(limits: MappingLimits) -> Iterator[MappingPool]:
    made = MappingPool(limits)
    yield made
    made.end()


@contextmanager
def opened(**limits: float) -> Iterator[MappingPool]:
    yield from _opened(MappingLimits(**limits))


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not is_true():
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("name", [*GOOGLE, *MICROSOFT])
async def test_each_kind_of_long_mail_is_mapped_within_the_limits(pool: MappingPool, name: str) -> None:
    raw = (GOOGLE.get(name) or MICROSOFT[name])()
    mapped = await pool.map(GOOGLEWS if name in GOOGLE else MS365, raw)

    assert mapped.truncation is not None or name in ("pictures", "words")
    assert mapped.message.ByteSize() + mapped.raw.ByteSize() <= 1024 * 1024


@pytest.mark.parametrize("raw", [
    LONG, {"id": "m", "labelIds": ["B", "A"], "internalDate": "1719820800123", "payload": LONG["payload"]},
    of_header("To", "Kim <kim@x.example>," * 5000), of_parts([part("text/plain", "x" * 9000)] * 20),
])  # fmt: skip
async def test_a_process_maps_as_the_worker_does(pool: MappingPool, raw: Raw) -> None:
    assert gmail_mapping.map_message(raw) == await pool.map(GOOGLEWS, raw)


async def test_what_is_never_read_of_a_mail_is_not_sent_to_the_process(pool: MappingPool) -> None:
    raw = GOOGLE["header fields"]()
    whole, mapped = gmail_mapping.map_message(raw), await pool.map(GOOGLEWS, raw)

    assert has_many_members(raw)
    assert (whole.message, whole.raw) == (mapped.message, mapped.raw)
    assert mapped.truncation is not None
    assert mapped.truncation.are_headers_cut


async def test_a_mail_of_graph_is_mapped_by_the_mapping_of_graph(pool: MappingPool) -> None:
    raw = {
        "id": "m", "changeKey": "k", "receivedDateTime": "2024-07-01T10:00:00.1234567Z", "isDraft": True,
        "subject": "\ud83d",
        "parentFolderId": "f", "body": {"contentType": "html", "content": "<p>x</p>" * 20_000},
    }  # fmt: skip

    assert graph_mapping.map_message(raw) == await pool.map(MS365, raw)


async def test_an_object_deeper_than_a_pickle_goes_is_mapped(pool: MappingPool) -> None:
    raw = of_html("<p>x</p>")
    for _ in range(3000):
        raw = {"id": "m", "payload": raw["payload"], "deep": [raw]}

    assert "x" == (await pool.map(GOOGLEWS, raw)).message.body.text


@pytest.mark.parametrize("raw", [LONG, {**of_html("x"), "subject": "\ud83d"}, GOOGLE["header fields"]()])
async def test_a_process_parses_the_answer_of_a_provider(pool: MappingPool, raw: Raw) -> None:
    assert gmail_mapping.map_message(raw) == await pool.map(GOOGLEWS, json.dumps(raw).encode())


@pytest.mark.parametrize("is_answer", [False, True])
async def test_a_process_puts_in_the_bodies_that_gmail_holds_back(pool: MappingPool, is_answer: bool) -> None:
    held, data = {"attachmentId": "a", "size": 1}, base64.urlsafe_b64encode(b"<p>Held</p>").decode()
    raw: Raw = {"id": "m", "payload": {"mimeType": "text/html", "body": held}}
    answer = json.dumps(raw).encode()

    assert ["a"] == await pool.detached(answer)
    given = json.dumps({"size": 1, "data": data}).encode() if is_answer else data
    assert "Held" == (await pool.map(GOOGLEWS, answer, {"a": given})).message.body.text
    assert (await pool.map(GOOGLEWS, answer, {"a": b"{}"})).truncation is not None


LONG_BODY = {"id": "l", "x": "ü" * MAX_PARSED_BYTES}
BODIES = [{"id": "m", "subject": "\ud83d"}, {"id": "n", "x": [1e30, True]}, None, [1], LONG_BODY]


async def test_a_process_takes_a_batch_apart(pool: MappingPool) -> None:
    given = [{"id": str(n), "status": 200, "headers": {"a": "b"}, "body": body} for n, body in enumerate(BODIES)]
    found = await pool.responses(json.dumps({"responses": [*given, "no response"]}).encode())

    assert [("b", str(n), 200) for n in range(5)] == [(one["headers"]["a"], one["id"], one["status"]) for one in found]
    *short, long = [one["body"] for one in found]
    assert [body if isinstance(body, dict) else None for body in BODIES[:-1]] == short
    assert isinstance(long, bytes)
    assert LONG_BODY == json.loads(long)


@pytest.mark.parametrize(("answer", "word"), [
    (b"", "answer_is_no_json"), (b'{"id"', "answer_is_no_json"), (b"[1]", "answer_is_no_json"),
    (b"[" * 100_000, "answer_is_no_json"), (b"{}", "message_is_no_object"),
])  # fmt: skip
async def test_an_answer_without_a_message_fails_as_a_short_one_does(
    pool: MappingPool, answer: bytes, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "LONG_MAILS", pool)
    failed = await mapped_by(gmail_mapping.map_message, GOOGLEWS, answer)

    assert isinstance(failed, Failed)
    assert classify(GOOGLEWS, 0 if word == "answer_is_no_json" else 422, [word]).rule == failed.error.rule
    if word == "answer_is_no_json":
        with pytest.raises(MappingError, match=word):
            await pool.responses(answer)
        with pytest.raises(MappingError, match=word):
            await pool.detached(answer)
        with pytest.raises(SourceError):
            await findings.held_back(answer + b' "attachmentId"')


async def test_held_back_bodies_of_many_parts_are_found_beside_the_event_loop() -> None:
    held = [{"mimeType": "text/plain", "body": {"attachmentId": f"a{number}"}} for number in range(3000)]
    before, turns = threading.active_count(), 0
    finding = asyncio.ensure_future(findings.held_back(of_parts(held)))
    while not finding.done():
        await asyncio.sleep(0)
        turns += 1

    assert [f"a{number}" for number in range(len(await finding))] == await finding
    assert 100 <= len(await finding)
    assert turns > 1
    assert threading.active_count() <= before + 1


async def test_a_mail_that_takes_too_long_ends_its_process_alone() -> None:
    with opened(cpu_seconds=0.3) as pool:
        with pytest.raises(MappingError, match="mapping_took_too_long") as caught:
            await pool.map(GOOGLEWS, GOOGLE["styles"]())

        assert not caught.value.is_passing
        assert "short" == (await pool.map(GOOGLEWS, of_html("<p>short</p>"))).message.body.text


async def test_a_mail_that_takes_too_much_memory_fails_alone() -> None:
    with opened(memory_bytes=160 * 1024 * 1024) as pool:
        with pytest.raises(MappingError) as caught:
            await pool.map(MS365, {"id": "m", "subject": "x" * 200_000_000})

        assert not caught.value.is_passing
        assert "short" == (await pool.map(GOOGLEWS, of_html("<p>short</p>"))).message.body.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_another_ends_or_stops_gets_a_successor(number: signal.Signals) -> None:
    with opened(deadline_seconds=15.0) as pool:
        await pool.map(GOOGLEWS, LONG)
        (first,) = pool.pids
        os.kill(first, number)
        mapped = await pool.map(GOOGLEWS, LONG)

        assert gmail_mapping.map_message(LONG) == mapped
        assert [first] != pool.pids
        assert is_gone(first)


async def test_a_mail_whose_processes_are_always_killed_may_come_again() -> None:
    with opened(deadline_seconds=0.0) as pool:
        with pytest.raises(MappingError, match="mapping_process_ended") as caught:
            await pool.map(GOOGLEWS, LONG)

        assert caught.value.is_passing
        assert [] == pool.pids


async def test_signals_of_the_terminal_do_not_end_a_process(pool: MappingPool) -> None:
    await pool.map(GOOGLEWS, LONG)
    before = pool.pids
    for pid in before:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)

    assert "x" == (await pool.map(GOOGLEWS, of_html("x"))).message.body.text
    assert before == pool.pids


async def test_a_process_knows_nothing_of_the_worker(pool: MappingPool) -> None:
    await pool.map(GOOGLEWS, LONG)

    assert all({} == psutil.Process(pid).environ() for pid in pool.pids)


async def test_mails_at_the_same_time_share_two_processes() -> None:
    with opened() as pool:
        found = await asyncio.gather(*(pool.map(GOOGLEWS, LONG) for _ in range(6)))

        assert 1 == len({mapped.message.body.text for mapped in found})
        assert 2 >= len(pool.pids)


async def test_idle_processes_are_ended() -> None:
    with opened(idle_seconds=0.0) as pool:
        await pool.map(GOOGLEWS, LONG)
        (pid,) = pool.pids
        await pool.round()

        assert [] == pool.pids
        assert is_gone(pid)


async def test_the_end_of_the_pool_ends_busy_and_idle_processes() -> None:
    with opened() as pool:
        mapping = asyncio.ensure_future(pool.map(GOOGLEWS, GOOGLE["styles"]()))
        await until(lambda: bool(pool.pids))
        pids = pool.pids
        pool.end()
        with pytest.raises(MappingError):
            await mapping

        assert all(map(is_gone, pids))
        assert [] == pool.pids


PROGRAM = """
import asyncio
from services.processor.mail.sources.mapping_pool import MappingPool
from tests.unit.processor.mail.sources.test_mapping_pool import LONG

async def main():
    pool = MappingPool()
    await pool.map("googlews", LONG)
    print(*pool.pids, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_killed_worker_leaves_no_process() -> None:
    worker = subprocess.Popen((sys.executable, "-c", PROGRAM), stdout=subprocess.PIPE)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    worker.kill()
    worker.communicate()

    eventually(lambda: is_gone(pid), WAIT_SECONDS, what="its process gone")


@pytest.fixture
async def small_limits(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    with opened(cpu_seconds=0.3) as pool:
        monkeypatch.setattr(findings, "LONG_MAILS", pool)
        yield


async def test_a_hostile_mail_is_announced_without_content(small_limits: None) -> None:
    failed = await mapped_by(gmail_mapping.map_message, GOOGLEWS, GOOGLE["styles"]())
    found = await mapped_by(gmail_mapping.map_message, GOOGLEWS, of_html("x" * 70_000))

    assert isinstance(failed, Failed)
    assert ("MESSAGE_UNREADABLE", Remedy.PERMANENT) == (failed.error.reason, failed.error.remedy)
    assert isinstance(found, Found)


async def test_the_event_loop_waits_for_a_part_of_a_long_mapping_only() -> None:
    """The unit is the mapping itself, measured on the same machine in the same run."""
    raw = GOOGLE["paragraphs"]()
    with opened() as pool:
        await pool.map(GOOGLEWS, LONG)
        for _ in range(ATTEMPTS):
            if (share := await _longest_hold(pool, raw) / _seconds(raw)) < 0.5:
                break

    assert share < 0.5


async def _longest_hold(pool: MappingPool, raw: Raw) -> float:
    mapping, longest = asyncio.ensure_future(pool.map(GOOGLEWS, raw)), 0.0
    while not mapping.done():
        before = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - before)
    assert isinstance(await mapping, MappedMessage)
    return longest


def _seconds(raw: Raw) -> float:
    before = time.perf_counter()
    gmail_mapping.map_message(raw)
    return time.perf_counter() - before


@pytest.mark.parametrize(("letters", "has_process"), [(30_000, False), (70_000, True)])
async def test_only_long_mails_get_a_process(letters: int, has_process: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened() as pool:
        monkeypatch.setattr(findings, "LONG_MAILS", pool)
        await mapped_by(gmail_mapping.map_message, GOOGLEWS, of_html("x" * letters))

        assert has_process == bool(pool.pids)
