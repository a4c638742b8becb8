"""The Date field: the moment that it names, or none. A guess would be a wrong moment, so there is no guess."""

import re
from datetime import UTC, datetime, timedelta, timezone

from services.message.syntax import without_comments

_MAX_CHARACTERS = 400
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
            "sep sept september", "oct october", "nov november", "dec december",
        ), 1,
    )
    for name in names.split()
}  # fmt: skip
# RFC 5322 4.3, and abbreviations that mean one offset the world over. Others (IST, BST, one letter) name several.
_ZONES = {
    "ut": 0, "utc": 0, "gmt": 0, "z": 0, "wet": 0, "west": 1, "cet": 1, "met": 1, "cest": 2, "mest": 2, "eet": 2,
    "eest": 3, "msk": 3, "jst": 9, "kst": 9, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13, "edt": -4, "est": -5,
    "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8, "akdt": -8, "akst": -9, "hst": -10,
}  # fmt: skip
_DAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}\.?\s*,?\s*)?"
_TIME = (
    r"(?P<hour>\d{1,2})\s*[:.]\s*(?P<minute>\d{2})(?:\s*[:.]\s*(?P<second>\d{1,2})(?:[.,]\d{1,9})?)?\s*(?P<half>[ap]m)?"
)
_ZONE = r"(?P<zone>[a-z]{1,5})?\s*(?:(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})(?:\s+(?P<after>[a-z]{1,5}))?)?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_FORMS = [
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"{_DAY}(?P<day>\d{{1,2}})[\s-]*{_MONTH}[\s,-]*(?P<year>\d{{2,5}})\s*,?\s+{_TIME}\s*{_ZONE}",
        rf"{_DAY}{_MONTH}\s*(?P<day>\d{{1,2}})\s*,?\s+(?P<year>\d{{4}})\s*,?\s+{_TIME}\s*{_ZONE}",
        rf"{_DAY}{_MONTH}\s*(?P<day>\d{{1,2}})\s*,?\s+{_TIME}\s+(?P<year>\d{{4}})\s+{_ZONE}",
        rf"{_DAY}{_MONTH}\s*(?P<day>\d{{1,2}})\s*,?\s+{_TIME}\s+{_ZONE}\s+(?P<year>\d{{4}})",
    )
]
_FIRST_YEAR = 1900
_LAST_ZONE_HOUR = 14
_NOON = 12
_LEAP_SECOND = 60


def parse_date(value: str) -> datetime | None:
    """Reads a date with its time and zone: RFC 5322 3.3 and 4.3, and the forms of other programs that leave no doubt.

    Args:
        value: The unfolded value of Date.

    Returns:
        The moment, aware; None when the value is no date, or when it leaves the zone open.
    """
    if len(value) > _MAX_CHARACTERS:
        return None
    text = " ".join(without_comments(value).split())
    for form in _FORMS:
        if found := form.fullmatch(text):
            return _moment(found.groupdict())
    return _iso(text)


def _moment(found: dict[str, str | None]) -> datetime | None:
    zone, month = _zone(found), _MONTHS.get((found["month"] or "").lower())
    hour, second = _hour(found), int(found["second"] or 0)
    if zone is None or month is None or hour is None or second > _LEAP_SECOND:
        return None
    try:
        minute = datetime(
            _year(found["year"] or ""), month, int(found["day"] or 0), hour, int(found["minute"] or 0), tzinfo=zone
        )
        return minute + timedelta(seconds=second)
    except (ValueError, OverflowError):
        return None


def _year(digits: str) -> int:
    """Years of two digits lie from 1950 to 2049, years of three count from 1900 (RFC 5322 4.3); none is before 1900."""
    year = int(digits)
    if len(digits) == 2:  # noqa: PLR2004
        return year + (2000 if year < 50 else 1900)  # noqa: PLR2004
    if len(digits) == 3:  # noqa: PLR2004
        return year + 1900
    return year if year >= _FIRST_YEAR else 0


def _hour(found: dict[str, str | None]) -> int | None:
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if not half or (half == "pm" and hour > _NOON):
        return hour
    if not 1 <= hour <= _NOON:
        return None
    return hour % _NOON + (_NOON if half == "pm" else 0)


def _zone(found: dict[str, str | None]) -> timezone | None:
    """Returns the offset when the names and the digits of the zone agree; `GMT+0200` is an offset from GMT."""
    named = [found["zone"], found["after"]]
    if found["sign"] is None:
        hours = _ZONES.get((found["zone"] or "").lower())
        return None if hours is None else timezone(timedelta(hours=hours))
    size = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    offset = -size if found["sign"] == "-" else size
    known = [_ZONES.get(name.lower()) for name in named if name]
    is_sure = all(hours is not None and (not hours or timedelta(hours=hours) == offset) for hours in known)
    is_offset = size <= timedelta(hours=_LAST_ZONE_HOUR) and int(found["minutes"] or 0) < 60  # noqa: PLR2004
    return timezone(offset) if is_sure and is_offset else None


def _iso(text: str) -> datetime | None:
    """Reads ISO 8601 with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo and moment.year >= _FIRST_YEAR else None
