"""The providers' libraries log what they get, tokens included; here they do not."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import msal.oauth2cli.oauth2
import pytest
import requests_oauthlib.oauth2_session  # noqa: F401 - its logger is made when it is imported

from services.meshkit.logs import configure_logs
from services.token_vault.issuers import google, microsoft  # noqa: F401 - as the service has them
from services.token_vault.issuers.http import _TALKATIVE as TALKATIVE
from services.token_vault.issuers.http import hush_libraries

# Not of a shape by which the last line of defence would know it.
TOKEN = "EwBIA8l6BAAU-opaque-canary"


class HalfAnAnswer:
    """An HTTP client whose answers end in the middle."""

    def post(self, *_arguments: Any, **_more: Any) -> Any:
        return self

    status_code, headers = 200, {}
    text = f'{{"access_token":"{TOKEN}","refresh_token":"'


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure_logs("token-vault", "debug", stream)
    hush_libraries()
    yield stream
    root.handlers[:], root.level = handlers, level
    for name in TALKATIVE:
        logging.getLogger(name).propagate = True


def test_an_answer_that_is_no_json_is_not_logged(log: io.StringIO) -> None:
    client = msal.oauth2cli.oauth2.Client(
        {"token_endpoint": "https://login.test/token"}, "client", http_client=HalfAnAnswer()
    )
    with pytest.raises(ValueError, match=r"Unterminated|JSON"):
        client.obtain_token_by_refresh_token("canary")

    assert TOKEN not in log.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "urllib3.connectionpool",
        "requests_oauthlib.oauth2_session",
        "oauthlib.oauth2.rfc6749.parameters",
        "msal.token_cache",
    ],
)
def test_nothing_of_theirs_is_logged_at_any_level(log: io.StringIO, name: str) -> None:
    for level in (logging.DEBUG, logging.ERROR):
        logging.getLogger(name).log(level, "content %s", TOKEN)

    assert TOKEN not in log.getvalue()
