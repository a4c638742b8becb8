"""The table of failures, and how the providers' answers are classified by it."""

from datetime import timedelta

import pytest

from mailmesh.errors.v1 import error_reason_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from services.processor.mailbox.failures import RULES, TOKEN_REFUSALS, Remedy, classify, token_refused
from services.processor.mailbox.parsing import parse
from services.providers.failures import Meaning


@pytest.mark.parametrize(
    ("provider", "status", "codes", "remedy"),
    [
        ("ms365", 401, ["InvalidAuthenticationToken"], Remedy.NEW_TOKEN),
        ("ms365", 403, ["ErrorAccessDenied"], Remedy.PERSON),
        ("ms365", 404, ["ErrorItemNotFound"], Remedy.MISSING),
        ("ms365", 404, ["MailboxNotEnabledForRESTAPI"], Remedy.PERSON),
        ("ms365", 403, ["MailboxNotEnabledForRESTAPI"], Remedy.PERSON),
        ("ms365", 410, [], Remedy.CURSOR_LOST),
        ("ms365", 400, ["SyncStateNotFound"], Remedy.CURSOR_LOST),
        ("ms365", 404, ["BadRequest", "resyncRequired"], Remedy.CURSOR_LOST),
        ("ms365", 429, ["ApplicationThrottled"], Remedy.THROTTLED),
        ("ms365", 503, [], Remedy.LATER),
        ("ms365", 504, [], Remedy.LATER),
        ("ms365", 0, ["ConnectError"], Remedy.LATER),
        ("ms365", 400, ["ErrorInvalidRequest"], Remedy.PERMANENT),
        ("googlews", 403, ["rateLimitExceeded"], Remedy.THROTTLED),
        ("googlews", 403, ["userRateLimitExceeded"], Remedy.THROTTLED),
        ("googlews", 403, ["domainPolicy"], Remedy.PERSON),
        ("googlews", 403, ["insufficientPermissions"], Remedy.PERSON),
        ("googlews", 400, ["failedPrecondition"], Remedy.PERSON),
        ("googlews", 429, [], Remedy.THROTTLED),
        ("googlews", 500, ["backendError"], Remedy.LATER),
    ],
)
def test_every_answer_has_its_remedy(provider: str, status: int, codes: list[str], remedy: Remedy) -> None:
    assert remedy is classify(provider, status, codes).remedy


def test_a_refusal_of_the_app_marks_no_tenant() -> None:
    error = classify("googlews", 403, ["accessNotConfigured", "PERMISSION_DENIED"])

    assert (Remedy.PERSON, "INSTALLATION_MISCONFIGURED") == (error.remedy, error.reason)
    assert vault_pb2.TENANT_FAULT_UNSPECIFIED == error.rule.fault


def test_an_overloaded_provider_that_names_a_time_is_left_alone_until_then() -> None:
    error = classify("ms365", 503, [], timedelta(seconds=7))

    assert (Remedy.THROTTLED, timedelta(seconds=7)) == (error.remedy, error.retry_after)


def test_every_reason_is_in_the_catalogue() -> None:
    known = set(error_reason_pb2.ErrorReason.keys())

    used = {rule.reason for rule in RULES.values()} | TOKEN_REFUSALS

    assert set(Meaning) == set(RULES)
    assert {f"ERROR_REASON_{reason}" for reason in used} <= known


def test_a_token_failure_waits_for_a_person_if_it_needs_one_and_is_retried_otherwise() -> None:
    assert Remedy.PERSON is token_refused("TENANT_NEEDS_REAUTHORIZATION").remedy
    assert Remedy.LATER is token_refused("PROVIDER_UNAVAILABLE").remedy


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[1]", b"\xff\xfe", b"[" * 200_000, b'"text"', b"null"])
def test_bytes_that_are_no_json_object_are_read_as_none(raw: bytes) -> None:
    assert None is parse(raw)
