"""The abilities of tenants and API keys, and the least scopes that each provider wants for each of them.

An ability is what mailmesh may do with an account. The providers' consent is by scope, and a scope may include
another one: `Mail.ReadWrite` reads as well. A tenant therefore has an ability when its grant includes every scope of
the ability, spelled in any of the provider's ways.

Scopes of sending: a send is a draft with a mark of ours first, and is looked up by this mark before it is ever sent
again. At Microsoft a draft takes `Mail.ReadWrite`, and sending it `Mail.Send`. At Google `gmail.compose` makes and
sends drafts, and the look-up in the mailbox's history and in the verified senders takes `gmail.readonly`.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import Final

from services.providers.names import GOOGLEWS, MS365

MAIL_READ: Final = "mail.read"
"""Read mail, and subscribe to its changes. The default wherever no ability is named."""
MAIL_MARK: Final = "mail.mark"
"""Change marks, labels, categories and folders of mail."""
MAIL_SEND: Final = "mail.send"
"""Send mail."""
CALENDAR_READ: Final = "calendar.read"
"""Read calendars, and subscribe to their changes."""
CALENDAR_WRITE: Final = "calendar.write"
"""Create, change and answer calendar events."""
CONVERSATION_READ: Final = "conversation.read"
"""Read conversations, which are made of mail."""
CONVERSATION_WRITE: Final = "conversation.write"
"""Change conversations; no mail is changed."""

ABILITIES: Final = (
    MAIL_READ, MAIL_MARK, MAIL_SEND, CALENDAR_READ, CALENDAR_WRITE, CONVERSATION_READ, CONVERSATION_WRITE,
)  # fmt: skip
OF_MAIL: Final = frozenset({MAIL_READ, MAIL_MARK, MAIL_SEND})
"""The abilities that reach the mailbox."""

_GOOGLE = "https://www.googleapis.com/auth/"
_ALL_OF_GMAIL = "https://mail.google.com/"
_GRANTS_KEPT = 4096
_READ_USERS = "User.ReadBasic.All"
"""The scope by which an address leads to its user's id."""
_OF_OWN_MAIL = frozenset({"mail.read", "mail.readwrite", "mail.send"})
"""Microsoft's scopes that have a form `.Shared`."""

_LEAST: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    MS365: {
        MAIL_READ: ("Mail.Read",),
        MAIL_MARK: ("Mail.ReadWrite",),
        MAIL_SEND: ("Mail.ReadWrite", "Mail.Send"),
        CALENDAR_READ: ("Calendars.Read", "Calendars.Read.Shared"),
        CALENDAR_WRITE: ("Calendars.ReadWrite", "Calendars.ReadWrite.Shared"),
        CONVERSATION_READ: ("Mail.Read",),
        CONVERSATION_WRITE: ("Mail.Read",),
    },
    GOOGLEWS: {
        MAIL_READ: (f"{_GOOGLE}gmail.readonly",),
        MAIL_MARK: (f"{_GOOGLE}gmail.modify",),
        MAIL_SEND: (f"{_GOOGLE}gmail.compose", f"{_GOOGLE}gmail.readonly"),
        CALENDAR_READ: (f"{_GOOGLE}calendar.calendarlist.readonly", f"{_GOOGLE}calendar.events.readonly"),
        CALENDAR_WRITE: (f"{_GOOGLE}calendar.calendarlist.readonly", f"{_GOOGLE}calendar.events"),
        CONVERSATION_READ: (f"{_GOOGLE}gmail.readonly",),
        CONVERSATION_WRITE: (f"{_GOOGLE}gmail.readonly",),
    },
}

_ALSO: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    GOOGLEWS: {CALENDAR_READ: (f"{_GOOGLE}calendar.freebusy",)},
}
"""The scopes that a consent asks for as well, without which an ability is granted all the same: one of its calls needs
them, and accounts that were connected before keep the others."""

_BROADER: Mapping[str, tuple[str, ...]] = {
    "mail.read": ("mail.readwrite",),
    "calendars.read": ("calendars.readwrite",),
    "calendars.read.shared": ("calendars.readwrite.shared",),
    f"{_GOOGLE}gmail.readonly": (f"{_GOOGLE}gmail.modify", _ALL_OF_GMAIL),
    f"{_GOOGLE}gmail.compose": (f"{_GOOGLE}gmail.modify", _ALL_OF_GMAIL),
    f"{_GOOGLE}gmail.modify": (_ALL_OF_GMAIL,),
    f"{_GOOGLE}calendar.calendarlist.readonly": (
        f"{_GOOGLE}calendar.calendarlist",
        f"{_GOOGLE}calendar.readonly",
        f"{_GOOGLE}calendar",
    ),
    f"{_GOOGLE}calendar.events.readonly": (
        f"{_GOOGLE}calendar.events",
        f"{_GOOGLE}calendar.readonly",
        f"{_GOOGLE}calendar",
    ),
    f"{_GOOGLE}calendar.events": (f"{_GOOGLE}calendar",),
    f"{_GOOGLE}calendar.freebusy": (f"{_GOOGLE}calendar.readonly", f"{_GOOGLE}calendar"),
}
"""The scopes that include a scope, both in the spelling of `plain_scope`."""


def plain_scope(provider: str, scope: str) -> str:
    """Return the one spelling of a scope that comparisons use.

    Graph's scopes come with and without its address, which differs by cloud, and in any case.
    """
    return scope.rpartition("/")[2].lower() if provider == MS365 else scope


def connect_command(provider: str, tenant_id: str, abilities: Iterable[str] = ()) -> str:
    """Return the command by which a person connects the account of a tenant again, and asks for abilities."""
    return " ".join(
        ["mailmesh connect", provider, "--tenant", tenant_id, *(f"--ability {ability}" for ability in abilities)]
    )


def least_scopes(provider: str, abilities: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that a provider wants for abilities, each once, sorted."""
    return tuple(sorted({scope for ability in abilities for scope in _LEAST.get(provider, {}).get(ability, ())}))


def asked_scopes(provider: str, abilities: Collection[str]) -> tuple[str, ...]:
    """Return the scopes that a consent asks for: the least ones, and those that only one call needs; sorted."""
    also = {scope for ability in abilities for scope in _ALSO.get(provider, {}).get(ability, ())}
    return tuple(sorted({*least_scopes(provider, abilities), *also}))


def shared_scopes(provider: str, scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes by which a person's grant opens mailboxes that others share with this person; sorted.

    Args:
        provider: The provider; only Microsoft has such scopes.
        scopes: The scopes for the person's own mailbox.
    """
    of_mail = {f"{scope}.Shared" for scope in scopes if plain_scope(provider, scope) in _OF_OWN_MAIL}
    return tuple(sorted((*of_mail, _READ_USERS))) if of_mail and provider == MS365 else ()


def scopes_in_shared(provider: str, granted: Iterable[str]) -> tuple[str, ...]:
    """Return the granted scopes that count in a shared mailbox, under their names for one's own mailbox; sorted."""
    plain = {plain_scope(provider, scope): scope.removesuffix(".Shared") for scope in granted}
    return tuple(sorted(scope for one, scope in plain.items() if one.removesuffix(".shared") in _OF_OWN_MAIL - {one}))


def lacking_scopes(provider: str, ability: str, granted: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes of an ability that a grant does not include, in the provider's spelling.

    Args:
        provider: The provider.
        ability: The ability.
        granted: The granted scopes, spelled in any way.
    """
    have = {plain_scope(provider, scope) for scope in granted}
    return tuple(scope for scope in least_scopes(provider, (ability,)) if have.isdisjoint(_sufficient(provider, scope)))


def lacking_scopes_of_all(provider: str, abilities: Iterable[str], granted: Collection[str]) -> tuple[str, ...]:
    """Return the scopes of abilities that a grant does not include, each once, sorted."""
    return tuple(sorted({scope for one in abilities for scope in lacking_scopes(provider, one, granted)}))


def granted_abilities(provider: str, requested: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """Return the requested abilities for which a grant suffices, sorted."""
    return _granted(provider, tuple(requested), tuple(granted))


def scopes_to_keep(provider: str, requested: Iterable[str], granted: Collection[str]) -> tuple[str, ...]:
    """Return the granted scopes that serve the requested abilities, as the provider spelled them.

    A refresh asks for these: for no scope that was never granted, which a provider would refuse, and for none that
    the tenant does not need, whose later withdrawal would end the refreshes.
    """
    useful = {one for scope in asked_scopes(provider, tuple(requested)) for one in _sufficient(provider, scope)}
    useful |= {plain_scope(provider, one) for one in shared_scopes(provider, useful)}
    return tuple(scope for scope in granted if plain_scope(provider, scope) in useful)


@lru_cache(_GRANTS_KEPT)
def _granted(provider: str, requested: tuple[str, ...], granted: tuple[str, ...]) -> tuple[str, ...]:
    known = _LEAST.get(provider, {})
    return tuple(sorted(one for one in set(requested) & set(known) if not lacking_scopes(provider, one, granted)))


def _sufficient(provider: str, scope: str) -> tuple[str, ...]:
    plain = plain_scope(provider, scope)
    return (plain, *_BROADER.get(plain, ()))
