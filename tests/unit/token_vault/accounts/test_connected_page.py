"""The page at the end of a connect: the granted abilities, and those that the person unticked."""

from datetime import UTC, datetime

import pytest

from services.token_vault.accounts import result_pages
from services.token_vault.store.authorization_flows import CONNECTED, FlowRow

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def flow(abilities: tuple[str, ...], missing: str) -> FlowRow:
    digests: tuple[bytes, None, None, None] = (b"", None, None, None)
    return FlowRow("f", "googlews", "t", "", "", "key:k", CONNECTED, *digests, "", missing, NOW, NOW, "c", abilities)


@pytest.mark.parametrize(
    ("abilities", "missing", "text"),
    [
        (("mail.read",), "", "mailmesh can now use your Google Workspace account to receive mail."),
        (
            ("calendar.read", "mail.read", "mail.send"),
            "",
            "mailmesh can now use your Google Workspace account to read calendars, receive mail and send mail.",
        ),
        (
            ("mail.read", "mail.send"),
            "mail.send",
            (
                "mailmesh can now use your Google Workspace account to receive mail. You did not allow it to send mail;"
                " ask for a new link to allow it later."
            ),
        ),
    ],
)
def test_the_page_says_which_rights_were_given(abilities: tuple[str, ...], missing: str, text: str) -> None:
    page = result_pages.of_flow(flow(abilities, missing))

    assert page.is_good
    assert page.text == f"{text} You can close this page."
