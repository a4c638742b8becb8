"""Windows and IANA names of time zones become IANA zones, with rules from the pinned package."""

from datetime import datetime

import pytest
from tzlocal.windows_tz import win_tz

from services.processor.calendar.mapping.zones import Zone, first_known, resolve, zone_info


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Pacific Standard Time", Zone("America/Los_Angeles")),
        ("GMT Standard Time", Zone("Europe/London")),
        ("w. europe standard time", Zone("Europe/Berlin")),
        ("UTC+13", Zone("Etc/GMT-13")),
        ("UTC-08", Zone("Etc/GMT+8")),
        ("Mid-Atlantic Standard Time", Zone("Etc/GMT+2", is_approximate=True)),
        ("Kamchatka Standard Time", Zone("Asia/Kamchatka")),
        ("tzone://Microsoft/Utc", Zone("Etc/UTC")),
        ("Coordinated Universal Time", Zone("Etc/UTC")),
        ("UTC", Zone("Etc/UTC")),
        ("europe/berlin", Zone("Europe/Berlin")),
        ("CST6CDT", Zone("CST6CDT")),
        ("Europe/Zaporozhye", Zone("Europe/Zaporozhye")),
    ],
)
def test_a_name_becomes_its_zone(name: str, zone: Zone) -> None:
    assert zone == resolve(name)


@pytest.mark.parametrize(
    "name", ["tzone://Microsoft/Custom", "Customized Time Zone", "", "../../etc/passwd", "Mars/Olympus", "A" * 5000]
)
def test_a_custom_or_unknown_name_has_no_zone(name: str) -> None:
    assert resolve(name) is None
    assert Zone("Etc/UTC", is_approximate=True) == first_known(name)
    assert Zone("Asia/Tokyo") == first_known(name, "Tokyo Standard Time")


def test_every_windows_zone_has_rules() -> None:
    assert [] == [name for name in win_tz if zone_info((resolve(name) or Zone("-")).iana).utcoffset(_NOON) is None]


def test_only_exact_names_of_zones_are_read_from_the_package() -> None:
    for name in ("../zones", "europe/berlin", "Europe"):
        with pytest.raises(ValueError, match="no IANA zone"):
            zone_info(name)


_NOON = datetime(2026, 11, 27, 12)  # noqa: DTZ001 - a wall clock
