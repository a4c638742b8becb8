"""The patterns of each format, and the one spelling of a value. Repeats are bounded: time is linear in the text."""

import re
from collections.abc import Callable, Mapping
from datetime import date

_MONTHS = {
    name: number
    for names in (
        "january february march april may june july august september october november december",
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    )
    for number, name in enumerate(names.split(), 1)
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_CURRENCIES = {"€": "EUR", "£": "GBP", "円": "JPY"}
"""Signs that mean one currency; $ and ¥ mean several, and stay as they are."""
_CURRENCY = r"(?:EUR|USD|GBP|CHF|JPY|SEK|NOK|DKK|PLN|CZK|AUD|CAD|CNY|[€$£¥円])"
_NUMBER = r"-?\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,5}(?:[.,]\d{1,4})?|-?\d{1,15}(?:[.,]\d{1,4})?"
_SLASHED = re.compile(r"(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})")
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"),
    re.compile(r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日"),
    re.compile(r"(?P<d>\d{1,2})\.[ ]?(?P<m>\d{1,2})\.[ ]?(?P<y>\d{4})"),
    _SLASHED,
    re.compile(
        rf"(?P<d>\d{{1,2}})(?:\.|st|nd|rd|th|er)?[ ](?:of[ ])?(?P<w>{_MONTH})\.?,?[ ](?P<y>\d{{4}})", re.IGNORECASE
    ),
    re.compile(rf"(?P<w>{_MONTH})\.?[ ](?P<d>\d{{1,2}})(?:st|nd|rd|th)?,?[ ](?P<y>\d{{4}})", re.IGNORECASE),
)
_MOST_MONTHS, _GROUP = 12, 3
_PHONE_DIGITS = range(7, 16)

PATTERNS: Mapping[str, re.Pattern[str]] = {
    "date": re.compile(
        rf"(?<![\w./-])(?:{'|'.join(re.sub(r'[?]P<.>', '?:', one.pattern) for one in _DATES)})(?![\w/-])", re.IGNORECASE
    ),
    "email": re.compile(
        r"(?<![\w.+-])[A-Za-z0-9][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
    ),
    "uri": re.compile(r"(?<!\w)https?://[^\s<>\"'()\[\]{}]{1,300}", re.IGNORECASE),
    "iban": re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
    "phone": re.compile(r"(?<![\w.+/-])(?:\+|00|\(?0)[1-9][\d ()/.-]{5,22}\d(?![\w/-])"),
    "amount": re.compile(rf"(?<![\w.,])(?:{_CURRENCY} ?(?:{_NUMBER})|(?:{_NUMBER})[ \u00a0\u202f]?{_CURRENCY})(?!\w)"),
    "number": re.compile(rf"(?<![\w.,-])(?:{_NUMBER})(?![\w,.]{0, 20}\d)(?![A-Za-z])"),
    "integer": re.compile(r"(?<![\w.,-])-?\d{1,15}(?![\w-])(?![.,]\d)"),
    "identifier": re.compile(
        r"(?<![\w/.-])(?=[A-Za-z0-9/_.-]{0,39}\d)[A-Za-z0-9][A-Za-z0-9/_.-]{0,38}[A-Za-z0-9](?![\w/-])"
    ),
    "text": re.compile(r"[^\n]{1,200}"),
}
MAX_SOURCE = 320


def _date(text: str) -> str:
    found = next((match for one in _DATES if (match := one.fullmatch(text))), None)
    if found is None:
        return ""
    parts = found.groupdict()
    month = int(parts["m"]) if "m" in parts else _MONTHS.get(parts["w"].lower(), 0)  # letters that match s and i, too
    day = int(parts["d"])
    if "/" in text and month > _MOST_MONTHS >= day:
        day, month = month, day  # month first; nothing else is possible
    try:
        return date(int(parts["y"]), month, day).isoformat()
    except ValueError:
        return ""


def is_ambiguous_date(text: str) -> bool:
    """Tell whether the day of a date may be its month: 03/04/2026. It is read with the day first."""
    if not (found := _SLASHED.fullmatch(text)):
        return False
    return max(int(found["d"]), int(found["m"])) <= _MOST_MONTHS and int(found["d"]) != int(found["m"])


def _number(text: str) -> str:
    plain = re.sub(r"[' \u00a0\u202f]", "", text)
    last = max(plain.rfind("."), plain.rfind(","))
    separators = plain.count(".") + plain.count(",")
    # One separator before exactly three digits groups thousands, and so do all equal ones.
    is_decimal = last >= 0 and (len(plain) - last - 1 != _GROUP or len({*plain} & {".", ","}) > 1)
    if separators and is_decimal:
        return f"{re.sub('[.,]', '', plain[:last])}.{plain[last + 1 :]}"
    return re.sub("[.,]", "", plain)


def _amount(text: str) -> str:
    currency = re.search(_CURRENCY, text)
    if currency is None:
        return ""
    number = (text[: currency.start()] + text[currency.end() :]).strip()
    return f"{_number(number)} {_CURRENCIES.get(currency[0], currency[0])}"


def _iban(text: str) -> str:
    plain = text.replace(" ", "")
    digits = "".join(str(int(character, 36)) for character in plain[4:] + plain[:4])
    return plain if int(digits) % 97 == 1 else ""  # ISO 13616


def _phone(text: str) -> str:
    is_international = text.startswith(("+", "00"))
    dialled = text.replace("(0)", "") if is_international else text  # the zero is dialled within the country only
    digits = re.sub(r"[^0-9]", "", dialled).removeprefix("00")
    if len(digits) not in _PHONE_DIGITS:
        return ""
    return f"+{digits}" if is_international else digits


SPELL: Mapping[str, Callable[[str], str]] = {
    "date": _date, "email": str, "uri": str, "iban": _iban, "phone": _phone, "amount": _amount, "number": _number,
    "integer": str, "identifier": str, "text": str,
}  # fmt: skip
"""From the source to the value, or to nothing if it is none."""
