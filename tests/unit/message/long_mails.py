"""Mails near the bounds of size, each with another kind of repetition."""

import base64
from collections.abc import Callable
from typing import Any

Raw = dict[str, Any]
BODY_CHARACTERS = 1200 * 1024
LIST_CHARACTERS = 500 * 1024


def repeated(piece: str, characters: int = BODY_CHARACTERS) -> str:
    """A piece, again and again."""
    return (piece * (characters // len(piece) + 1))[:characters]


def part(media_type: str, content: str | bytes, **fields: str) -> Raw:
    """A part as Gmail gives it; fields have underscores for hyphens."""
    data = content.encode() if isinstance(content, str) else content
    headers = [{"name": name.replace("_", "-"), "value": value} for name, value in fields.items()]
    return {"mimeType": media_type, "headers": headers, "body": {"data": base64.urlsafe_b64encode(data).decode()}}


def of_html(html: str) -> Raw:
    return {"id": "m", "payload": part("text/html", html)}


def of_parts(parts: list[Raw], kind: str = "mixed") -> Raw:
    return {"id": "m", "payload": {"mimeType": f"multipart/{kind}", "parts": parts}}


def of_header(name: str, value: str, times: int = 1) -> Raw:
    return {"id": "m", "payload": {"headers": [{"name": name, "value": value}] * times}}


def _pictures() -> Raw:
    html = "".join(f'<img src="cid:{number}@x">' for number in range(4000))
    pictures = [part("image/png", "x", Content_ID=f"<{number}@x>") for number in range(4000)]
    return of_parts([part("text/html", html), *pictures], "related")


GOOGLE: dict[str, Callable[[], Raw]] = {
    "words": lambda: of_html(repeated("word and word ")),
    "paragraphs": lambda: of_html("<p>" * 300_000),
    "cells": lambda: of_html(repeated("<td>")),
    "closing signs": lambda: of_html(repeated(">")),
    "blanks": lambda: of_html("<pre>" + repeated("&nbsp;") + "x"),
    "styles": lambda: of_html("".join(f'<p style="width:{i}px;color:#{i:06x}">x</p>' for i in range(20_000))),
    "links": lambda: of_html("<base href=https://x.example>" + "".join(f"<a href=b{i}>x</a>" for i in range(20_000))),
    "references": lambda: of_html(repeated('<p title="&amp;&amp;&amp;&amp;&amp;&amp;&amp;&amp;">')),
    "hundred HTML parts": lambda: of_parts([part("text/html", repeated("<p>x<b>y</b></p>", 12_000))] * 100),
    "hundred Japanese parts": lambda: of_parts(
        [part("text/plain", b"a\xa4\xa2" * 300_000, Content_Type="text/plain; charset=euc-jp")] * 100
    ),
    "separators": lambda: of_header("To", "," * 400_000),
    "recipients": lambda: of_header("To", repeated('"Kim, K" <kim@x.example>, ', LIST_CHARACTERS)),
    "loose recipients": lambda: of_header("Cc", repeated("kim@x.example ben@y.example foo, ", LIST_CHARACTERS)),
    "two thousand fields To": lambda: of_header("To", "a@b.example," * 300, 2000),
    "encoded words": lambda: of_header("Subject", repeated("=?utf-8?q?a?= =?latin1?q?b?= ")),
    "header fields": lambda: of_header("X-Field", "value", 200_000),
    "pictures": _pictures,
    "snippet": lambda: {"id": "m", "snippet": "&amp;" * 1_000_000},
}  # fmt: skip
MICROSOFT: dict[str, Callable[[], Raw]] = {
    "paragraphs of Graph": lambda: {"id": "m", "body": {"contentType": "html", "content": "<p>" * 300_000}},
    "recipients of Graph": lambda: {
        "id": "m", "toRecipients": [{"emailAddress": {"address": f"a{i}@b.example"}} for i in range(20_000)],
    },
    "attachments of Graph": lambda: {"id": "m", "attachments": [{"name": f"n{i}"} for i in range(20_000)]},
    "members of Graph": lambda: {"id": "m", "x": [{"a": i} for i in range(300_000)]},
}  # fmt: skip
