"""The table of abilities: the least scopes of each provider, and what a grant suffices for."""

import pytest

from services.providers import abilities
from services.providers.names import GOOGLEWS, MS365

AUTH = "https://www.googleapis.com/auth/"
OF_CONVERSATIONS = ("conversation.read", "conversation.write")


@pytest.mark.parametrize("provider", [MS365, GOOGLEWS])
@pytest.mark.parametrize("ability", abilities.ABILITIES)
def test_the_least_scopes_of_an_ability_suffice_for_it(provider: str, ability: str) -> None:
    least = abilities.least_scopes(provider, [ability])

    assert least
    assert abilities.granted_abilities(provider, [ability], least) == (ability,)


@pytest.mark.parametrize("provider", [MS365, GOOGLEWS])
@pytest.mark.parametrize("ability", abilities.ABILITIES)
def test_no_scope_of_an_ability_can_be_left_out(provider: str, ability: str) -> None:
    least = abilities.least_scopes(provider, [ability])
    for left_out in least:
        rest = [scope for scope in least if scope != left_out]

        assert abilities.granted_abilities(provider, [ability], rest) == ()
        assert abilities.lacking_scopes(provider, ability, rest) == (left_out,)


@pytest.mark.parametrize(
    ("provider", "granted", "able"),
    [
        (MS365, ["Mail.Read"], [*OF_CONVERSATIONS, "mail.read"]),
        (MS365, ["https://graph.microsoft.us/mail.read", "User.Read"], [*OF_CONVERSATIONS, "mail.read"]),
        (MS365, ["Mail.ReadWrite"], [*OF_CONVERSATIONS, "mail.mark", "mail.read"]),
        (MS365, ["Mail.Send"], []),
        (MS365, ["Mail.ReadWrite", "Mail.Send"], [*OF_CONVERSATIONS, "mail.mark", "mail.read", "mail.send"]),
        (MS365, ["Mail.ReadBasic"], []),
        (MS365, ["Calendars.ReadWrite", "Calendars.ReadWrite.Shared"], ["calendar.read", "calendar.write"]),
        (MS365, [f"{AUTH}gmail.modify"], []),
        (GOOGLEWS, [f"{AUTH}gmail.readonly"], [*OF_CONVERSATIONS, "mail.read"]),
        (GOOGLEWS, [f"{AUTH}gmail.metadata", f"{AUTH}gmail.send"], []),
        (GOOGLEWS, [f"{AUTH}gmail.compose"], []),
        (GOOGLEWS, [f"{AUTH}gmail.modify"], [*OF_CONVERSATIONS, "mail.mark", "mail.read", "mail.send"]),
        (GOOGLEWS, ["https://mail.google.com/"], [*OF_CONVERSATIONS, "mail.mark", "mail.read", "mail.send"]),
        (GOOGLEWS, [f"{AUTH}calendar.events", f"{AUTH}calendar.readonly"], ["calendar.read", "calendar.write"]),
        ("imap", ["Mail.Read"], []),
    ],
)
def test_a_grant_suffices_for_what_its_scopes_include(provider: str, granted: list[str], able: list[str]) -> None:
    assert abilities.granted_abilities(provider, abilities.ABILITIES, granted) == tuple(able)


def test_an_ability_that_was_not_requested_is_not_granted() -> None:
    assert abilities.granted_abilities(MS365, ["mail.read"], ["Mail.ReadWrite", "Mail.Send"]) == ("mail.read",)


def test_a_refresh_keeps_the_granted_scopes_that_serve_and_no_other() -> None:
    granted = ["Directory.Read.All", "https://graph.microsoft.com/Mail.ReadWrite", "User.Read"]

    assert abilities.scopes_to_keep(MS365, ["mail.read"], granted) == ("https://graph.microsoft.com/Mail.ReadWrite",)
    assert abilities.scopes_to_keep(MS365, ["mail.send"], ["Mail.Read"]) == ()
