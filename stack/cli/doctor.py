"""`mailmesh doctor`: finds what keeps mail from flowing, and says how to fix it."""

import json as json_module
import os
import re
from collections.abc import Iterator
from typing import Annotated

import typer

from stack.cli.connection import Target, target
from stack.cli.exits import CommandError, Exit
from stack.cli.output import JsonOption, console, print_json, show
from stack.data_directory import DataDirectory
from stack.diagnosis.finding import Finding, Grade
from stack.ready import Ready

MARKS = {Grade.GOOD: ("✓", "green"), Grade.WARNING: ("!", "yellow"), Grade.BAD: ("✗", "red")}


def doctor(
    context: typer.Context,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Check this machine only; call no provider.")] = False,
    deployed: Annotated[
        str, typer.Option("--deployed", metavar="URL", help="Check the installation at this address, from outside.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Check the installation and say how to fix each problem.

    The checks cover settings, keys, certificates, the packages and the key of workflows, the way to the providers, the
    redirect addresses and the Gmail topic.
    They read the mesh that runs in the data directory, or, when none runs, the environment that `mailmesh up` would
    read. The exit code is 6 when a check fails.

    Examples:
      mailmesh doctor
      mailmesh doctor --deployed https://mesh.example.com
      PUBLIC_URL=https://mesh.example.com MAILMESH_MS365_CLIENT_ID=... mailmesh doctor
    """
    found: list[Finding] = []
    for finding in _deployed(deployed) if deployed else _findings(target(context), offline=offline):
        found.append(finding)
        if not json:
            _show(finding)
    if json:
        print_json([finding.as_dict() for finding in found])
    bad = sum(finding.grade is Grade.BAD for finding in found)
    if bad:
        raise CommandError(f"{bad} of {len(found)} checks failed", Exit.REFUSED)


def _findings(wanted: Target, *, offline: bool) -> Iterator[Finding]:
    # Other commands start faster without these.
    from stack.diagnosis.local import local_findings  # noqa: PLC0415
    from stack.diagnosis.providers import provider_findings, trust_of  # noqa: PLC0415
    from stack.diagnosis.pulling import gmail_findings  # noqa: PLC0415
    from stack.diagnosis.reach import reach_findings  # noqa: PLC0415
    from stack.diagnosis.workflows import workflow_findings  # noqa: PLC0415

    data = DataDirectory(wanted.data)
    ready = Ready.read(data.ready_file) if data.ready_file.exists() else None
    settings = _settings(data, is_running=ready is not None)
    yield from local_findings(data, ready)
    of_workflows = _settings(data, is_running=ready is not None, service="workflows")
    yield from workflow_findings(of_workflows, "" if ready is None else ready.http)
    with console.status("Calling the providers"):
        yield from provider_findings(settings, is_simulated=_is_simulated(ready), offline=offline)
        # Ingest alone is given the key with which notifications are pulled.
        of_ingest = _settings(data, is_running=ready is not None, service="ingest-1")
        trust = trust_of(of_ingest)
        yield from gmail_findings(of_ingest, trust, offline=offline, is_running=ready is not None)
        if not offline:
            yield from reach_findings(settings, ready)


def _deployed(url: str) -> Iterator[Finding]:
    from stack.diagnosis.deployed import deployed_findings  # noqa: PLC0415 - other commands start faster without it

    if not re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?", url):
        raise CommandError("--deployed takes the address of an edge, https://host", Exit.USAGE)
    yield from deployed_findings(url.rstrip("/"))


def _settings(data: DataDirectory, *, is_running: bool, service: str = "token-vault") -> dict[str, str]:
    """Returns a service's settings: of the running stack, else of our own environment."""
    told = data.environments / f"{service}.json"
    if is_running and told.exists():
        known: dict[str, str] = json_module.loads(told.read_text(encoding="utf-8"))
        return known
    public = os.environ.get("PUBLIC_URL") or os.environ.get("MAILMESH_PUBLIC_URL", "")
    return {**os.environ, "MAILMESH_PUBLIC_URL": public.rstrip("/")}


def _is_simulated(ready: Ready | None) -> bool:
    return ready is not None and ready.simulator is not None


def _show(finding: Finding) -> None:
    show(MARKS[finding.grade], " ", (finding.name, "bold"), f"  {finding.fact}")
    if finding.remedy:
        show(f"  → {finding.remedy}")
