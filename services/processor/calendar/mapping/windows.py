"""IANA zones to Microsoft's names, for writing: the table of the package `tzlocal`, backwards."""

from tzlocal.windows_tz import tz_win


def windows_zone(iana: str) -> str:
    """Return Microsoft's name of an IANA zone; empty when it has none with the same rules."""
    return tz_win.get(iana, "")
