"""The kinds of a single line of a mail: a separator, the introduction of a quote, a label, the start of a signature."""

import re

from mailmesh.mail.v1 import message_pb2
from services.message.reply_words import LANGUAGES

ATTRIBUTION_CHARACTERS = 400
_NO_ADDRESS = frozenset(" \t\xa0<>@[]()\"',;:")
_TIME = re.compile(r"(?<!\d)\d{1,2}[:.h時시点點]\s?\d{2}(?!\d)")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
DATE = re.compile(r"(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{2,4}(?!\d)")
_DASHES = re.compile(r"\s*[-_=]{2,}\s*([^-_=\n][^\n]{2,80}?)\s*:?\s*[-_=]{2,}\s*\Z")
LABEL = re.compile(r"[\s*>]{0,8}([^\W\d_][^\n:：*]{0,30}?)[ \xa0]?\*{0,2}[:：]\*{0,2}[\s\xa0]*+(.*)\Z", re.DOTALL)
RULE = re.compile(r"\s*[_-]{10,}\s*\Z")
_FORWARD_WORDS = frozenset(word for language in LANGUAGES.values() for word in language.forwarded)
_ORIGINAL_WORDS = frozenset(word for language in LANGUAGES.values() for word in language.original)
_WROTE = tuple(dict.fromkeys(word for language in LANGUAGES.values() for word in language.wrote))
_OPENINGS = tuple(dict.fromkeys(word for language in LANGUAGES.values() for word in language.opening))
_DEVICES = tuple(dict.fromkeys(word for language in LANGUAGES.values() for word in language.device))
_DEVICE_ENDS = ("から送信", "에서 보냄", "gesendet", "gönderildi", "发送", "發送")
_PRODUCTS = (
    "phon", "ipad", "android", "outlook", "samsung", "galaxy", "huawei", "xiaomi", "blackberry", "mail", "mobil",
    "handy", "telefon", "téléphone", "móvil", "celular", "yahoo", "proton", "windows", "mac", "айфон", "телефон",
)  # fmt: skip
_PRODUCT = re.compile("|".join(_PRODUCTS))
_DEVICE_CHARACTERS = 80
DASHES_OF_SIGNATURES = ("--", "—")


def _classes() -> dict[str, dict[str, str]]:
    """By label, its class (author, date, to, subject) in each language that has it."""
    found: dict[str, dict[str, str]] = {}
    for code, language in LANGUAGES.items():
        for kind in ("author", "date", "to", "subject"):
            for word in getattr(language, kind):
                found.setdefault(word, {})[code] = kind
    return found


LABELS = _classes()
AUTHORS = frozenset(word for word, classes in LABELS.items() if "author" in classes.values())


def separator(line: str) -> "message_pb2.TextSpanKind.ValueType | None":
    """Return the kind of the lines below a separator; None when a line is none."""
    if len(line) > ATTRIBUTION_CHARACTERS:
        return None
    between = _DASHES.match(line)
    word = fold(between[1] if between else line.rstrip(":： "))
    if word in _FORWARD_WORDS:
        return message_pb2.TEXT_SPAN_KIND_FORWARDED
    return message_pb2.TEXT_SPAN_KIND_QUOTED if between and word in _ORIGINAL_WORDS else None


def is_introduction(line: str) -> bool:
    """Tell whether a line introduces a quote: words of a language, or a whole date and an address at its end."""
    is_addressed = has_address(line)
    if not (is_addressed or has_day(line)):
        return False
    folded = fold(line)
    if any(word in folded for word in _WROTE):
        return True
    return is_addressed and bool(_YEAR.search(line) and _TIME.search(line)) and line.rstrip(":： ").endswith((">", ")"))


def fold(word: str) -> str:
    """Fold the case; the capital of Turkish leaves a dot, which the small letter does not have."""
    return word.strip().casefold().replace("\u0307", "")


def has_address(line: str) -> bool:
    """Tell whether a line has an address."""
    place = line.find("@")
    while place >= 0:
        if 0 < place < len(line) - 1 and not {line[place - 1], line[place + 1]} & _NO_ADDRESS:
            return True
        place = line.find("@", place + 1)
    return False


def has_day(line: str) -> bool:
    """Tell whether a line has a year, a date or a time of day."""
    return bool(_YEAR.search(line) or DATE.search(line) or _TIME.search(line))


def has_moment(line: str) -> bool:
    """Tell whether a line has a day and a time of day."""
    return bool((_YEAR.search(line) or DATE.search(line)) and _TIME.search(line))


def begins(line: str) -> bool:
    """Tell whether a line begins like the introduction of a quote."""
    return fold(line.lstrip()).startswith(_OPENINGS)


def is_signature(line: str) -> bool:
    """Tell whether a signature begins in a line."""
    bare = line.strip(" \t\xa0")
    if bare in DASHES_OF_SIGNATURES:
        return True
    if not bare or len(bare) > _DEVICE_CHARACTERS:
        return False
    folded = fold(bare)
    is_device = folded.startswith(_DEVICES) or folded.endswith(_DEVICE_ENDS)
    return is_device and names_product(bare)


def names_product(text: str) -> bool:
    """Tell whether a text names a telephone or a mail program."""
    return _PRODUCT.search(text.casefold()) is not None
