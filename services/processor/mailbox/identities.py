"""The identities of an account: the addresses from which it may send, as its provider lists them."""

from dataclasses import dataclass

from services.processor.mailbox.failures import classify
from services.processor.mailbox.provider_http import JSON
from services.providers.names import GOOGLEWS

GRAPH_PROFILE = "displayName,mail,userPrincipalName,proxyAddresses"
"""The fields of a Microsoft account that `graph_identities` reads."""
_NAME_CHARACTERS = 300
_ADDRESS_CHARACTERS = 320


@dataclass(frozen=True)
class Identity:
    """One address from which an account may send.

    Args:
        address: The address, as the provider spells it.
        display_name: The name beside it; empty where there is none.
        is_primary: Whether it is the account's own address.
    """

    address: str
    display_name: str = ""
    is_primary: bool = False


def google_identities(answer: JSON) -> list[Identity]:
    """Return the verified addresses of Gmail's `settings.sendAs.list`; it replaces any other one silently.

    Raises:
        SourceError: The answer has no list.
    """
    listed = answer.get("sendAs") or []
    if not isinstance(listed, list):
        raise classify(GOOGLEWS, 0, ["list_without_entries"])
    return [
        Identity(_text(one, "sendAsEmail"), _text(one, "displayName"), one.get("isPrimary") is True)
        for one in listed
        if isinstance(one, dict)
        and _text(one, "sendAsEmail")
        and (one.get("isPrimary") is True or one.get("verificationStatus") == "accepted")
    ]


def graph_identities(profile: JSON) -> list[Identity]:
    """Return a Microsoft account's names, and the addresses under which Exchange delivers to it.

    Args:
        profile: The account with the fields of `GRAPH_PROFILE`.
    """
    listed = profile.get("proxyAddresses")
    proxies = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    own = [_text(profile, "mail"), _text(profile, "userPrincipalName")]
    smtp = [one[len("smtp:") :] for one in proxies if one.lower().startswith("smtp:")]
    found: dict[str, Identity] = {}
    for address in (*own, *smtp):
        if address and len(address) <= _ADDRESS_CHARACTERS:
            found.setdefault(address.lower(), Identity(address, _text(profile, "displayName"), not found))
    return list(found.values())


def _text(holder: JSON, name: str) -> str:
    value = holder.get(name)
    return value[:_NAME_CHARACTERS].replace("\0", "") if isinstance(value, str) else ""
