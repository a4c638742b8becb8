"""Checks of the workflows: their packages, and the API key with which their steps call the edge."""

import stat
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import httpx

from stack.diagnosis.asking import ask
from stack.diagnosis.finding import Finding, bad, good, warning

_PREFIX = "MAILMESH_WORKFLOWS_"
_KEY = "API key of workflows"
_ROLE = "mailmesh keys create workflows --role operator --ability mail.read ...; give its file by "
OK, FORBIDDEN = 200, 403


def workflow_findings(settings: Mapping[str, str], edge: str) -> Iterator[Finding]:
    """Checks the graphs that the settings name, and the key. Nothing is checked without graphs.

    Args:
        settings: The variables of Workflows.
        edge: The address of the edge that runs; empty when none does.
    """
    named = [part.strip() for part in settings.get(f"{_PREFIX}GRAPHS", "").split(",") if part.strip()]
    if not named:
        return
    yield _graphs(named)
    yield _key(settings, edge)


def _graphs(named: list[str]) -> Finding:
    name = "workflows"
    if find_spec("langgraph") is None:
        return bad(name, f"{len(named)} are set, and LangGraph is not installed", "pip install 'mailmesh[workflows]'")
    for entry in named:
        place = entry.partition("=")[2].partition(":")[0]
        # The package alone is looked up: the rest would run the operator's code.
        if not _is_installed(place.partition(".")[0]):
            return bad(
                name,
                f"{entry}: the package {place.partition('.')[0] or '(none)'} is not installed here",
                f"Install it beside mailmesh, or correct {_PREFIX}GRAPHS: name=module:attribute.",
            )
    return good(name, f"{len(named)} are set, and their packages are installed")


def _is_installed(package: str) -> bool:
    try:
        return bool(package) and find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _key(settings: Mapping[str, str], edge: str) -> Finding:
    key, path = settings.get(f"{_PREFIX}API_KEY", ""), settings.get(f"{_PREFIX}API_KEY_FILE", "")
    if not key:
        if not path:
            return warning(_KEY, "there is none: steps cannot call the edge", f"{_ROLE}{_PREFIX}API_KEY_FILE.")
        try:
            mode = stat.S_IMODE(Path(path).stat().st_mode)
            key = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as fault:
            return bad(_KEY, f"{path} cannot be read: {type(fault).__name__}", f"{_ROLE}{_PREFIX}API_KEY_FILE.")
        if not key:
            return bad(_KEY, f"{path} is empty", "Write the key into it; no restart is needed.")
        if mode & 0o077:
            return bad(_KEY, f"{path} can be read by others (mode {mode:o})", f"chmod 600 {path}, and replace the key.")
    return _accepted(key, edge) if edge else good(_KEY, "is set")


def _accepted(key: str, edge: str) -> Finding:
    try:
        answer = ask(
            "GET", f"{edge}/v1/workflow-runs", params={"pageSize": "1"}, headers={"authorization": f"Bearer {key}"}
        )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as fault:
        return bad(_KEY, f"the edge did not answer: {type(fault).__name__}", "Read the log of the edge.")
    if answer.status == OK:
        return good(_KEY, "the edge accepts it")
    if answer.status == FORBIDDEN:
        return bad(_KEY, "the edge refuses it for its role or abilities", f"{_ROLE}{_PREFIX}API_KEY_FILE.")
    return bad(
        _KEY, f"the edge answers {answer.status}", "Replace a key that was revoked; otherwise read the edge's log."
    )
