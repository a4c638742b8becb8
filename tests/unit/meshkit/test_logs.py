"""Logs are JSON lines with the ids of what they belong to, and without secrets."""

import io
import json
import logging

import pytest
import structlog
from pydantic import SecretStr

from services.meshkit import correlation, tracing
from services.meshkit.logs import configure_logs, is_secret_name, redact
from services.meshkit.secret import MASK, Secret

CANARY = "canary-7f3a"
REQUEST_ID = "019a9f0e-7c1e-7000-8000-000000000007"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Log:
    """The lines that were written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log(request):
    """A log that is set up in the test itself, since pytest puts levels back before it."""
    root = logging.getLogger()
    kept = root.handlers[:], root.level
    yield Log()
    root.handlers[:], root.level = kept
    structlog.reset_defaults()


def test_a_line_tells_what_it_belongs_to(log):
    configure_logs("ingest", "info", log.stream)
    with correlation.correlated(REQUEST_ID), tracing.span("x", parent=TRACEPARENT):
        structlog.get_logger("services.x").info("stored", items=3)

    line = log.lines[0]

    assert ("stored", 3, "info", "services.x", "ingest", REQUEST_ID, TRACEPARENT.split("-")[1]) == (
        line["event"],
        line["items"],
        line["level"],
        line["logger"],
        line["service"],
        line["correlation_id"],
        line["trace_id"],
    )
    assert line["timestamp"].endswith("Z")


def test_lines_of_other_libraries_look_the_same(log):
    configure_logs("ingest", "info", log.stream)
    logging.getLogger("foreign").warning("got %s", f"Bearer {CANARY}", extra={"token": CANARY, "attempt": 2})

    line = log.lines[0]

    assert (f"got {MASK}", MASK, 2, "ingest") == (line["event"], line["token"], line["attempt"], line["service"])


def test_what_is_below_the_level_is_not_written(log):
    configure_logs("ingest", "warning", log.stream)
    structlog.get_logger("x").info("quiet")
    logging.getLogger("httpx").info("quiet")

    assert "" == log.text


def test_an_exception_is_written_without_the_secrets_in_its_text(log):
    configure_logs("ingest", "info", log.stream)
    try:
        int(f"https://example.com/callback?code={CANARY}&state={CANARY} {JWT}")
    except ValueError:
        structlog.get_logger("x").exception("failed")

    assert "ValueError" in log.lines[0]["exception"]
    assert CANARY not in log.text
    assert JWT not in log.text


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "refreshToken", "Authorization", "client_secret", "clientState", "client_state",
        "password", "body", "html_body", "code", "state", "cookie", "set-cookie", "raw", "code_verifier", "key",
    ],
)  # fmt: skip
def test_what_stands_under_a_secrets_name_is_masked(name):
    assert {name: MASK} == redact({name: CANARY})
    assert {"a": [{name: MASK}]} == redact({"a": [{name: {"deep": CANARY}}]})


@pytest.mark.parametrize("name", ["key_id", "grpc_code", "status", "tenant_id", "state_changed", "method", "raw_items"])
def test_what_only_sounds_like_a_secret_is_shown(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize("value", [3, 2.5, True, None])
def test_numbers_are_shown_under_any_name(value):
    assert {"max_body_bytes": value, "tokens": value} == redact({"max_body_bytes": value, "tokens": value})


@pytest.mark.parametrize(
    "text",
    [
        JWT,
        f"bearer {CANARY}-{CANARY}",
        "mm_live_0123456789abcdef",
        "ya29.a0AfH6SMBx-canary",
        "1//0gCanaryCanaryCanaryCanary",
        "0.A" + "x" * 80,
        "postgresql://user:canary@localhost/x",
        "https://x.example/cb?code=canary7f3a&ok=1",
        "grant_type=x&client_secret=canary7f3a",
    ],
)
def test_what_looks_like_a_secret_is_masked_wherever_it_stands(text):
    shown = redact({"event": f"got {text} today"})["event"]

    assert MASK in shown
    assert "canary" not in shown.lower().replace(MASK, "")
    assert text not in shown


@pytest.mark.parametrize(
    "text",
    ["https://graph.example.com/v1.0/me/messages?$top=10", REQUEST_ID, "call", "12 of 15 done", "a@example.com: gone"],
)
def test_ordinary_text_is_left_as_it_is(text):
    assert text == redact(text)


def test_secrets_by_type_bytes_and_foreign_objects_show_nothing():
    class Foreign:
        def __str__(self) -> str:
            return f"Foreign({JWT})"

    shown = redact({"a": Secret(CANARY), "b": SecretStr(CANARY), "c": CANARY.encode(), "d": Foreign()})

    assert {"a": MASK, "b": MASK, "c": f"<{len(CANARY)} bytes>", "d": f"Foreign({MASK})"} == shown


def test_redaction_ends_at_some_depth():
    nested: list = []
    nested.append(nested)

    assert "..." in json.dumps(redact(nested))
