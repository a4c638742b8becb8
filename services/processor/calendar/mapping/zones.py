"""Time zones: the providers' names to IANA zones, and the IANA zones' rules from one pinned package.

The rules come from the package `tzdata` on every machine, never from the system. Custom zones of one mailbox have no
entry anywhere: no state passes from one tenant to another.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz

UTC_ZONE: Final = "Etc/UTC"
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Zone:
    """An IANA zone for a provider's name.

    Args:
        iana: The zone's name.
        is_approximate: Whether the provider's zone may have other rules.
    """

    iana: str
    is_approximate: bool = False


# `win_tz` has neither the dead zones nor the spellings beside the official names. Mid-Atlantic had daylight saving time
# until Windows retired it, and no place has its rules today.
_OWN: Final = {
    "mid-atlantic standard time": Zone("Etc/GMT+2", is_approximate=True),
    "kamchatka standard time": Zone("Asia/Kamchatka"),
    "tzone://microsoft/utc": Zone(UTC_ZONE),
    "coordinated universal time": Zone(UTC_ZONE),
    "utc": Zone(UTC_ZONE),
    "z": Zone(UTC_ZONE),
}
_WINDOWS: Final = {name.lower(): Zone(zone) for name, zone in win_tz.items()}


def resolve(name: str) -> Zone | None:
    """Return the zone for a Windows name or an IANA name, in any case.

    Args:
        name: The provider's name.

    Returns:
        None for unknown names and for custom zones, whose rules the name does not tell: "tzone://Microsoft/Custom",
        "Customized Time Zone".
    """
    if not 0 < len(name) <= _LONGEST_NAME:
        return None
    lower = name.strip().lower()
    if lower in _OWN or lower in _WINDOWS:
        return _OWN.get(lower) or _WINDOWS[lower]
    iana = _iana_names().get(lower)
    return None if iana is None else Zone(iana)


def first_known(*names: str) -> Zone:
    """Return the zone of the first name that is known; UTC, as an approximation, when none is."""
    return next((zone for name in names if (zone := resolve(name)) is not None), Zone(UTC_ZONE, is_approximate=True))


@lru_cache(maxsize=700)  # there are about 600 zones
def zone_info(iana: str) -> ZoneInfo:
    """Return the rules of a zone that `resolve` returned.

    Raises:
        ValueError: There is no such zone.
    """
    if _iana_names().get(iana.lower()) != iana:
        msg = f"no IANA zone {iana!r}"
        raise ValueError(msg)
    with files("tzdata").joinpath("zoneinfo", *iana.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=iana)


@lru_cache(maxsize=1)
def _iana_names() -> dict[str, str]:
    names = files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return {name.lower(): name for name in names}
