"""Runs one client against the difficult mesh and makes its report."""

import asyncio
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from clients.builds import Program
from clients.conformance.cases import CASES, Case
from clients.conformance.mesh import DifficultMesh, Play, serving
from clients.conformance.proxy import proxied

CLIENT_SECONDS = 120.0
VECTORS = Path(__file__).with_name("webhooks.json")
WEBHOOKS = "webhooks"
WEBHOOKS_TITLE = "accepts and refuses each of the webhook vectors as they say"


@dataclass(frozen=True)
class Report:
    """The outcome of a run.

    Attributes:
        client: The client's name.
        complaints: By case: the difference between the client's answers and the right ones; empty when there is none.
    """

    client: str
    complaints: dict[str, str]

    @property
    def failed(self) -> dict[str, str]:
        """The cases that failed, with their differences."""
        return {name: complaint for name, complaint in self.complaints.items() if complaint}

    def lines(self) -> list[str]:
        """Return the report as text, a line to a case."""
        return [f"{self.client}\t{name}\t{complaint or 'passed'}" for name, complaint in self.complaints.items()]


def vectors() -> list[dict[str, object]]:
    """Return the webhook vectors."""
    cases: list[dict[str, object]] = json.loads(VECTORS.read_text())["cases"]
    return cases


async def run(client: str, program: Program, cases: Sequence[Case] = CASES) -> Report:
    """Run all cases with a client.

    Args:
        client: The client's name.
        program: Its conformance program, built.
        cases: The cases of the difficult mesh; the webhooks' vectors come on top.

    Raises:
        TimeoutError: The client did not end.
    """
    with tempfile.TemporaryDirectory() as name:
        async with AsyncExitStack() as stack:
            mesh = await stack.enter_async_context(serving())
            lines = [line for case in cases for line in await _prepare(stack, mesh, case, Path(name))]
            lines += _webhook_lines()
            answers = await _answers(program, lines)
            complaints = {case.name: _compare(case, answers, mesh.plays[case.name]) for case in cases}
    complaints[WEBHOOKS] = _compare_webhooks(answers)
    return Report(client, complaints)


async def _prepare(stack: AsyncExitStack, mesh: DifficultMesh, case: Case, folder: Path) -> list[str]:
    """Give a case its proxy and its folder; return its commands."""
    proxy = await stack.enter_async_context(proxied(mesh.port))
    mesh.plays[case.name] = Play(case.openings, proxy)
    own = folder / case.name
    own.mkdir()
    return [
        "\t".join((kind, case.name, *(field.format(url=proxy.url, key=case.name, folder=own) for field in fields)))
        for kind, *fields in case.commands
    ]


def _webhook_lines() -> list[str]:
    names = ("now", "webhookId", "webhookTimestamp", "webhookSignature", "bodyBase64")
    return [
        "\t".join(
            ("verify", WEBHOOKS, *(str(case[name]) for name in names), " ".join(map(str, case["keys"])))  # type: ignore[call-overload]  # a list of strings
        )
        for case in vectors()
    ]


async def _answers(program: Program, lines: list[str]) -> dict[str, list[str]]:
    process = await asyncio.create_subprocess_exec(
        *program.command,
        env={**os.environ, **program.environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            output, complaint = await process.communicate(("\n".join(lines) + "\n").encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    answers: dict[str, list[str]] = {}
    for line in output.decode().splitlines():
        name, _, answer = line.partition("\t")
        answers.setdefault(name, []).append(answer)
    if process.returncode:
        answers.setdefault(WEBHOOKS, []).append(f"the program ended with {process.returncode}: {complaint.decode()}")
    return answers


def _compare(case: Case, answers: dict[str, list[str]], play: Play) -> str:
    found = tuple(answers.get(case.name, ()))
    if found != case.answers:
        return f"answered {found!r}, not {case.answers!r}; asked {tuple(play.asked)!r}"
    asked = tuple(name for name, _ in groupby(play.asked)) if case.may_ask_again else tuple(play.asked)
    if asked != case.asked:
        return f"asked {asked!r}, not {case.asked!r}"
    if case.least_pause_seconds and play.times[1] - play.times[0] < case.least_pause_seconds:
        return f"asked again after {play.times[1] - play.times[0]:.3f} s, before {case.least_pause_seconds} s were over"
    return ""


def _compare_webhooks(answers: dict[str, list[str]]) -> str:
    found = [answer for answer in answers.get(WEBHOOKS, ()) if answer != "end"]
    wanted = [str(case["outcome"]) for case in vectors()]
    if len(found) != len(wanted):
        return f"{len(found)} answers to {len(wanted)} vectors: {found[-1:]}"
    wrong = [
        f"{case['name']}: {answer}, not {case['outcome']}"
        for case, answer in zip(vectors(), found, strict=True)
        if answer != case["outcome"]
    ]
    return "; ".join(wrong)
