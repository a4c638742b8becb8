"""The rules for the URL of an endpoint."""

import re
from functools import lru_cache
from typing import Final

from yarl import URL

from services.egress.addresses import EgressRules, read_address

MOST_CHARACTERS: Final = 2048

# Space, backslash and non-ASCII characters are read differently by different parsers.
_VISIBLE = re.compile(r"[!-\[\]-~]+", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
# A last label that begins with a digit, or is hexadecimal, is an IPv4 address to some programs (URL standard, 3.5).
_NUMBER = re.compile(r"[0-9].*|0x[0-9a-f]*", re.ASCII)
_MOST_HOST_CHARACTERS = 253


@lru_cache(maxsize=4096)
def url_fault(text: str, rules: EgressRules) -> str:
    """Return the rule that a URL breaks, as a sentence; empty when it breaks none.

    The address of a name is judged when it is dialled, not here.

    Args:
        text: The URL as the endpoint's owner wrote it.
        rules: The operator's rules.
    """
    if len(text) > MOST_CHARACTERS or not _VISIBLE.fullmatch(text):
        return f"a URL has at most {MOST_CHARACTERS} visible ASCII characters; write its host as xn--..."
    try:
        url = URL(text, encoded=True)
        port = url.port
    except ValueError:
        return "this is not a URL"
    return _scheme_fault(url, rules) or _part_fault(url, text) or _host_fault(url, rules) or _port_fault(port, rules)


def _scheme_fault(url: URL, rules: EgressRules) -> str:
    if url.scheme == "https" or (url.scheme == "http" and rules.own):
        return ""
    return "a URL begins with https://" + (" or http://" if rules.own else "")


def _part_fault(url: URL, text: str) -> str:
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        return "a URL has no user and no password; set a header of the endpoint instead"
    return "a URL has no fragment" if "#" in text else ""


def _host_fault(url: URL, rules: EgressRules) -> str:
    host = (url.raw_host or "").lower()
    if not host:
        return "a URL has a host"
    if "[" in url.raw_authority or read_address(host) is not None:
        is_encrypted = url.scheme == "https"
        return "" if rules.allows(host, is_encrypted=is_encrypted) else "this address is not public"
    labels = host.removesuffix(".").split(".")
    if len(host) > _MOST_HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        return "this is not the name of a host"
    return "write an IPv4 address as four decimal numbers" if _NUMBER.fullmatch(labels[-1]) else ""


def _port_fault(port: int | None, rules: EgressRules) -> str:
    return "" if port and rules.allows_port(port) else "the operator does not allow this port"
