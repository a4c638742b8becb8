"""Mails as the simulator's Gmail gives them: its parser is another one, and both forms of header values map alike."""

import base64
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.processor.mail.sources.gmail_mapping import detached_bodies, map_message
from simulator.clock import Clock
from simulator.eml import Eml, parse
from simulator.google.render import View, b64url, find_attachment
from tests.unit.message.corpus import corpus
from tests.unit.message.test_corpus import Reference, leaves

FORMS = ["decoded", "encoded"]


def as_simulated(raw: bytes, form: str, charset: str = "utf-8") -> dict[str, Any]:
    """A mail as the simulator shows it, with the bodies that it holds back."""
    mail: Any = SimpleNamespace(serial=1, source=Eml(raw))
    view = View(cast("Any", SimpleNamespace(clock=Clock())), body_charset=charset, header_words=form)
    given = {"id": "m", "payload": view._part(mail, parse(raw), "")}
    for attachment, body in detached_bodies(given):
        part = find_attachment(mail, attachment)
        assert part is not None
        body["data"] = b64url(part.content)
    return given


@pytest.mark.parametrize("form", FORMS)
def test_the_parts_of_simulated_mails_are_those_of_the_reference(form: str) -> None:
    """RFC 8621 4.1.4."""
    for mail in corpus(seed=5, size=300):
        message = map_message(as_simulated(mail.raw, form)).message
        shown = {leaf.token for leaf in Reference(mail.root).shown}
        readable = message.body.text + message.body.html

        assert shown == {leaf.token for leaf in leaves(mail.root) if f"{leaf.token} " in readable}
        assert (mail.subject, mail.name) == (message.subject, message.from_address.name)


WORDS = {
    "shift_jis": ("cp932", "①㈱髙"), "x-sjis": ("cp932", "①"), "gb2312": ("gb18030", "镕基"), "gbk": ("gb18030", "鎔"),
    "big5": ("big5hkscs", "碁銹"), "euc-kr": ("cp949", "똠"), "ks_c_5601-1987": ("cp949", "갂"),
    "cp932": ("cp932", "①"),
    "iso-2022-jp": ("iso-2022-jp", "日本"), "iso-8859-1": ("cp1252", "“€”"), "latin1": ("cp1252", "ü€"),
    "iso-8859-9": ("cp1254", "ş€"), "tis-620": ("cp874", "ก€"), "koi8-r": ("koi8-r", "Привет"), "utf8": ("utf-8", "ü"),
    "iso-8859-8-i": ("iso-8859-8", "שלום"), "windows-1251": ("cp1251", "Привет"), "l2": ("iso-8859-2", "łó"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("label", WORDS)
def test_labels_mean_the_same_in_headers_and_bodies_of_each_form(label: str, form: str) -> None:
    """WHATWG Encoding 4.2."""
    codec, text = WORDS[label]
    data = text.encode(codec)
    for word in (f"B?{base64.b64encode(data).decode()}", f"Q?{''.join(f'={byte:02X}' for byte in data)}"):
        head = f"Subject: =?{label}?{word}?= x\r\nFrom: =?{label}?{word}?= <a@b.example>\r\n".encode()
        raw = head + b"Content-Type: text/plain; charset=" + label.encode() + b"\r\n\r\n" + data
        for charset in ("utf-8", "sent"):
            message = map_message(as_simulated(raw, form, charset)).message

            assert (f"{text} x", text, text) == (message.subject, message.from_address.name, message.body.text)


@pytest.mark.parametrize("depth", [10, 50, 90, 150, 300, 1500])
def test_nested_mails_of_any_depth_are_shown(depth: int) -> None:
    inner = b"Subject: in\r\n\r\nx"
    parts = b"Subject: x\r\n"
    for level in range(depth):
        inner = b"Subject: s\r\nContent-Type: message/rfc822\r\n\r\n" + inner
        parts += b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
    for raw in (inner, parts + b"Content-Type: text/plain\r\n\r\nhello"):
        assert map_message(as_simulated(raw, "decoded")).message.subject in ("s", "x", "in")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "expected"), [
    ("=?utf-8?q?a?= =?utf-8?q?b?=.pdf", "ab.pdf"), ("=?utf-8?q?a=20?= =?utf-8?q?b?=.pdf", "a b.pdf"),
    ("a =?utf-8?q?b?= c.pdf", "a b c.pdf"), ("=?utf-8?b?w6Q=?= =?iso-8859-1?q?=E4?=.pdf", "ää.pdf"),
    ("=?utf-8?q?a?=  =?utf-8?q?b?=\t=?utf-8?q?c?=", "abc"),
])  # fmt: skip
def test_blanks_between_encoded_words_of_a_name_go_alone(name: str, expected: str, form: str) -> None:
    """RFC 2047 6.2."""
    part = f'Content-Type: application/pdf; name="{name}"\r\n\r\nx\r\n'
    raw = f"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{part}--b--".encode()

    assert expected == map_message(as_simulated(raw, form)).message.attachments[0].name


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("value", "expected"), [
    (b"Fr\xf6sche", "Frösche"), ("Frösche 日".encode(), "Frösche 日"), (b"=?iso-8859-1?Q?Fr\xf6sche?=", "Frösche"),
    (b"=?utf-8?Q?Fr\xc3\xb6sche?=", "Frösche"), (b"=?utf-8?B?5pel5pys6Kqe5g==?= x", "日本語\ufffd x"),
])  # fmt: skip
def test_raw_bytes_of_header_fields_are_read_in_each_form(value: bytes, expected: str, form: str) -> None:
    """RFC 2047 allows none, and senders write them; bytes that fit no charset are replaced alone."""
    raw = b"Subject: " + value + b"\r\nFrom: " + value + b" <a@b.example>\r\n\r\nx"
    message = map_message(as_simulated(raw, form)).message

    assert (expected, expected) == (message.subject, message.from_address.name)
