"""Mail addresses as they are compared: one rule for all parts of mailmesh.

The local part is compared without regard to case: RFC 5321, section 2.4, leaves it to its host, and the providers of
mail ignore its case. The domain is compared in its ASCII form by IDNA 2008 (RFC 5891), after the mapping of UTS 46
without its transitional part, so that `straße.de` and `strasse.de` are two domains, as they are in the DNS. A domain
that IDNA 2008 does not know is compared by its own characters in lower case: no address is beyond comparison.
"""

import re

import idna

MAX_CHARACTERS = 320
_DISTURBING = re.compile(r"[\s<>,;\"\\@]")


def plain(address: str) -> str:
    """Return an address in the form in which addresses are compared; empty for text that is no address.

    Plus tags of others stay, since they may be others' own; so do the dots of Gmail. Safe to call with any text.
    """
    local, at, domain = address.strip().lower().rpartition("@")
    domain = domain.rstrip(".")
    if not (at and local and domain) or len(address) > MAX_CHARACTERS:
        return ""
    return f"{local}@{plain_domain(domain)}"


def plain_domain(domain: str) -> str:
    """Return a domain in ASCII, or as it is in lower case where IDNA 2008 has no form of it. Raises nothing."""
    try:
        return ascii_domain(domain)
    except (idna.IDNAError, UnicodeError):
        return domain.lower()


def ascii_domain(domain: str) -> str:
    """Return a domain in ASCII by IDNA 2008 with the mapping of UTS 46; an ASCII domain in lower case.

    Raises:
        idna.IDNAError: IDNA 2008 has no form of the domain.
        UnicodeError: As above.
    """
    return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode()


def is_single(address: str) -> bool:
    """Return whether a plain address is one address alone, without the characters that separate or quote addresses."""
    local, _, domain = address.rpartition("@")
    return bool(local and domain) and not _DISTURBING.search(local + domain)


def shown_domain(domain: str) -> str:
    """Return the Unicode form of a plain domain; the domain itself where it has none."""
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain
