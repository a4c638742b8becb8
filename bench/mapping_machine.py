"""Maps ordinary mails in a loop, for `bench.map_mails`: `python mapping_machine.py SECONDS` in any build's folder.

It uses the mapping of the folder in which it runs, whatever the folder calls its modules, and prints the mails per
second of processor time for each kind.
"""

import base64
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

PACKAGES = ("services.processor.mail.sources", "services.processor.sources")
Map = Callable[[dict[str, Any]], object]
LETTER = "<p>Dear Kim,</p><p>thank you for the <b>offer</b> of Monday. We meet at <i>ten</i>.</p>"
ROW = (
    '<tr><td style="padding:12px 8px;font-family:Arial,sans-serif;font-size:14px;color:#333333" width="280">'
    '<a href="https://shop.example/p?id={0}&amp;utm_source=mail" style="color:#0a58ca;text-decoration:none">'
    '<img src="https://shop.example/i/{0}.png" width="260" height="180" alt="Article {0}"></a><br>Article {0}</td></tr>'
)
SHEET = "<style>.preheader{display:none}@media (max-width:600px){.w{width:100%!important}}</style>"
NEWSLETTER = f'<html><head>{SHEET}</head><body bgcolor="#f4f4f4"><div class="preheader">News</div><table class="w">' + (
    "".join(ROW.format(number) for number in range(100)) + "</table></body></html>"
)
FIELDS = [
    ("Subject", "=?utf-8?q?Angebot_f=C3=BCr_Montag?="), ("From", "Kim Lee <kim@post.example>"),
    ("To", '"Lee, Ben" <ben@x.example>, Ana <ana@y.example>'), ("Date", "Mon, 1 Jul 2024 10:00:00 +0200"),
    ("Message-ID", "<1@post.example>"), ("References", "<2@post.example> <3@post.example>"),
    *((f"Received-{number}", "from a.example by b.example; Mon, 1 Jul 2024 10:00:00") for number in range(12)),
]  # fmt: skip


def main(seconds: float) -> None:
    """Print the rates of one round as JSON."""
    sys.path.insert(0, ".")
    mappings = {provider: _mapping(name) for provider, name in (("ms365", "graph"), ("googlews", "gmail"))}
    print(json.dumps({kind: _rate(mappings[provider], mails, seconds) for kind, provider, mails in _kinds()}))


def _mapping(name: str) -> Map:
    for package in PACKAGES:
        try:
            return cast("Map", importlib.import_module(f"{package}.{name}_mapping").map_message)
        except ModuleNotFoundError:
            continue
    raise SystemExit(f"no mapping of {name} here")


def _rate(map_message: Map, mails: list[dict[str, Any]], seconds: float) -> float:
    """Mails per second of processor time."""
    for mail in mails:
        map_message(mail)
    done, before = 0, time.process_time()
    while (spent := time.process_time() - before) < seconds:
        for mail in mails:
            map_message(mail)
        done += len(mails)
    return done / spent


def _kinds() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    for provider in ("ms365", "googlews"):
        paths = sorted(Path("tests/data", provider, "messages").glob("*.json"))
        recorded = [json.loads(path.read_text()) for path in paths if not path.name.endswith(".expected.json")]
        yield f"{provider}, recorded mails", provider, recorded
        for kind, html in (("letter", LETTER * 8), ("newsletter", NEWSLETTER)):
            yield f"{provider}, {kind} of {len(html) // 1024 or 1} KiB", provider, [_mail(provider, html)]


def _mail(provider: str, html: str) -> dict[str, Any]:
    headers = [{"name": name, "value": value} for name, value in FIELDS]
    if provider == "ms365":
        people = [{"emailAddress": {"name": "Ben", "address": "ben@x.example"}}]
        body = {"contentType": "html", "content": html}
        return {"id": "m", "internetMessageHeaders": headers, "toRecipients": people, "body": body}
    plain = {"mimeType": "text/plain", "body": {"data": _encoded("Dear Kim, we meet at ten.\r\n" * 20)}}
    rich = {"mimeType": "text/html", "body": {"data": _encoded(html)}}
    return {"id": "m", "payload": {"mimeType": "multipart/alternative", "headers": headers, "parts": [plain, rich]}}


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


if __name__ == "__main__":
    main(float(sys.argv[1]))
