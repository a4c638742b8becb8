"""Where looking begins: recorded messages of both providers, and small examples of everything else."""

import base64
import json
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
_PUSH = {"emailAddress": "a@b.test", "historyId": "7"}
_ITEM = {
    "subscriptionId": "s",
    "clientState": "c",
    "changeType": "created",
    "resource": "Users('u')/Messages('m')",
    "resourceData": {"@odata.type": "#Microsoft.Graph.Message", "id": "m", "@odata.etag": 'W/"1"'},
}
_SMALL: dict[str, list[bytes]] = {
    "notifications": [
        json.dumps({"value": [_ITEM, _ITEM | {"lifecycleEvent": "missed"}]}).encode(),
        b'{"value":[{"subscriptionId":"\\ud800"}]}',
    ],
    "pushes": [
        json.dumps(_PUSH).encode(),
        json.dumps(
            {"message": {"data": base64.b64encode(json.dumps(_PUSH).encode()).decode(), "messageId": "1"}}
        ).encode(),
    ],
    "words": [b"iso-2022-jp\0\x1b$B", b"=?utf-8?b?w6Q=?= =?utf-8?q?=c3?=", b"utf-7\0+ADw-"],
    "headers": [
        b"From: =?utf-8?q?a?= <a@b.test>, g: c@d.test;\nDate: Tue, 1 Jan 2030 00:00:00 +0000\nReferences: <a@b> <c>",
        b"Content-Type: multipart/report; report-type=delivery-status\nImportance: High\nAuto-Submitted: auto-replied",
    ],
    "html": [
        b"<a><a><table><a>",
        b"<p style='width:expression(1)'>x<svg><style>",
        b"<!--><![CDATA[<img src=x onerror=x>]]>",
    ],
    "signatures": [
        # Signed with 32 zero bytes at noon of 2026-11-27.
        b"e1\n1795780800\nv1,CXbXMVHVvz+cv7nJZsTnHB8nrcqKu8pNd5XU8RNTZCo=\n{}",
        b"e1\n1795780800\nv1a,AAAA v1,CXbXMVHVvz+cv7nJZsTnHB8nrcqKu8pNd5XU8RNTZCo=  v2\n{}",
    ],
    "endpoints": [
        b"https://example.com:8443/a%2Fb?c=d\nX-Key: value",
        b"https://[2606:4700::1111]/\nauthorization:Bearer x",
        b"https://127.1/\nhost:x",
    ],
    "cursors": [b"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", b"W10", b""],
}
_RECORDED = {"graph_messages": "ms365", "gmail_messages": "googlews"}


def seeds(target: str) -> list[bytes]:
    """The seeds of a target."""
    if target in _RECORDED:
        return [path.read_bytes() for path in sorted((DATA / _RECORDED[target]).rglob("*.json"))]
    return _SMALL[target]
