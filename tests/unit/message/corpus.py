"""Mails as bytes, generated from a seed: structures, charsets, encodings and header forms in all their combinations."""

import base64
import quopri
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from typing import Any

SIZE = 2100
_TEXTS = {
    "utf-8": "Grüße 日本語 ∑", "iso-8859-1": "Grüße", "windows-1252": "Grüße … “x” €", "iso-8859-15": "Prix 5 €",
    "iso-8859-2": "Zażółć", "windows-1250": "Příliš", "koi8-r": "Привет мир", "windows-1251": "Привет мир",
    "iso-8859-7": "Καλημέρα", "shift_jis": "会議の件です", "iso-2022-jp": "会議の件です", "euc-jp": "会議の件です",
    "gb2312": "你好世界朋友", "gbk": "鎔基你好世界", "gb18030": "你好世界朋友", "big5": "你好世界朋友",
    "euc-kr": "안녕하세요 여러분", "us-ascii": "plain words", "utf-16": "Grüße 日本語",
    "windows-1255": "שלום עולם", "windows-1256": "مرحبا",
}  # fmt: skip
_TYPES = ["text/plain"] * 6 + ["text/html"] * 5 + [
    "text/enriched", "text/x-unknown", "text/calendar", "image/png", "image/png", "application/pdf", "message/rfc822",
]  # fmt: skip
_MULTIPARTS = ["mixed", "mixed", "alternative", "alternative", "related", "signed", "x-unknown"]


@dataclass
class Leaf:
    """One part without children; `token` is a word that only it contains."""

    media_type: str
    token: str
    text: str
    charset: str
    name: str = ""
    disposition: str = ""
    content_id: str = ""


@dataclass
class Tree:
    """A multipart."""

    subtype: str
    children: list["Tree | Leaf"] = field(default_factory=list)
    start: str = ""


@dataclass
class Mail:
    """A mail with what it must give."""

    raw: bytes
    root: Tree | Leaf
    subject: str
    name: str


def corpus(seed: int = 11, size: int = SIZE) -> Iterator[Mail]:
    """Yields the same mails at each call."""
    chance = random.Random(seed)
    for number in range(size):
        yield _mail(chance, number)


def _mail(chance: random.Random, number: int) -> Mail:
    root = _tree(chance, f"m{number}", 0)
    charset = chance.choice([name for name in _TEXTS if name != "utf-16"])
    words = f"{_TEXTS[charset]} {number}"
    lines = [
        b"Subject: " + _word(chance, words, charset),
        b"From: " + _word(chance, _TEXTS[charset], charset) + b" <kim@post.example>",
        b"To: a@x.example, b@y.example",
        b"Date: Mon, 1 Jul 2024 10:00:00 +0200",
        f"Message-ID: <{number}@post.example>".encode(),
        b"MIME-Version: 1.0",
    ]
    return Mail(b"\r\n".join(lines) + b"\r\n" + _bytes(chance, root), root, words, _TEXTS[charset])


def _word(chance: random.Random, text: str, charset: str) -> bytes:
    data = text.encode(charset)
    if chance.random() < 0.5:
        return b"=?%s?B?%s?=" % (charset.encode(), base64.b64encode(data))
    return b"=?%s?Q?%s?=" % (charset.encode(), b"".join(b"=%02X" % byte for byte in data))


def _tree(chance: random.Random, token: str, depth: int) -> Tree | Leaf:
    if chance.random() < (0.75, 0.35, 0.15, 0)[depth]:
        made = Tree(chance.choice(_MULTIPARTS))
        made.children = [_tree(chance, f"{token}p{place}", depth + 1) for place in range(chance.randint(1, 3))]
        first_leaf = made.children[-1]
        if (
            made.subtype == "related"
            and isinstance(first_leaf, Leaf)
            and first_leaf.content_id
            and chance.random() < 0.3
        ):
            made.start = first_leaf.content_id
        return made
    media_type, charset = chance.choice(_TYPES), chance.choice(list(_TEXTS))
    leaf = Leaf(media_type, f"{token}q", _TEXTS[charset], charset)
    leaf.name = f"{token}.bin" if chance.random() < 0.3 else ""
    leaf.disposition = chance.choice(["", "", "", "inline", "attachment"])
    leaf.content_id = f"{token}@post.example" if chance.random() < 0.3 else ""
    return leaf


def _bytes(chance: random.Random, part: Tree | Leaf) -> bytes:
    """The part with its own header fields."""
    if isinstance(part, Tree):
        boundary = f"b{chance.randrange(10**9)}"
        start = f'; start="<{part.start}>"' if part.start else ""
        inner = b"".join(f"--{boundary}\r\n".encode() + _bytes(chance, child) + b"\r\n" for child in part.children)
        head = f'Content-Type: multipart/{part.subtype}; boundary="{boundary}"{start}\r\n\r\n'
        return head.encode() + inner + f"--{boundary}--\r\n".encode()
    head = f"Content-Type: {part.media_type}" + (
        f'; charset="{part.charset}"' if part.media_type.startswith("text/") else ""
    )
    head += f'; name="{part.name}"\r\n' if part.name and not part.disposition else "\r\n"
    if part.disposition:
        head += f"Content-Disposition: {part.disposition}" + (f'; filename="{part.name}"' if part.name else "") + "\r\n"
    head += f"Content-ID: <{part.content_id}>\r\n" if part.content_id else ""
    return head.encode() + _content(chance, part)


def _content(chance: random.Random, leaf: Leaf) -> bytes:
    if leaf.media_type == "message/rfc822":
        return f"\r\nSubject: inner\r\n\r\n{leaf.token}".encode()
    text = f"{leaf.token} {leaf.text}"
    if leaf.media_type == "text/html":
        text = f"<html><body><p>{text}</p></body></html>"
    data = text.encode(leaf.charset if leaf.media_type.startswith("text/") else "utf-8")
    if chance.random() < 0.5:
        return b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(data)
    return b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + quopri.encodestring(data)


def as_gmail(raw: bytes, *, are_words_decoded: bool = False, is_utf8: bool = False) -> dict[str, Any]:
    """A mail as Gmail gives it in the format `full`, made by Python's parser.

    Args:
        raw: The mail.
        are_words_decoded: Header values have their encoded words decoded.
        is_utf8: Bodies are given as UTF-8, whatever their part says.
    """
    payload = _part(message_from_bytes(raw), is_utf8=is_utf8)
    if are_words_decoded:
        for field_ in payload["headers"]:
            field_["value"] = str(make_header(decode_header(field_["value"])))
    return {"id": "m1", "historyId": "1", "payload": payload}


def _part(message: Message, *, is_utf8: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "mimeType": message.get_content_type(),
        "filename": message.get_filename("") or "",
        "headers": [{"name": name, "value": str(value)} for name, value in message.items()],
    }
    if message.get_content_type() == "message/rfc822":
        return {**made, "body": {"attachmentId": "inner", "size": 1}}
    if message.is_multipart():
        return {
            **made,
            "body": {"size": 0},
            "parts": [_part(child, is_utf8=is_utf8) for child in message.get_payload()],
        }
    data = message.get_payload(decode=True)
    charset = message.get_content_charset()
    if is_utf8 and charset and message.get_content_maintype() == "text":
        data = data.decode({"gb2312": "gb18030", "shift_jis": "cp932"}.get(charset, charset)).encode()
    return {**made, "body": {"data": base64.urlsafe_b64encode(data).decode(), "size": len(data)}}
