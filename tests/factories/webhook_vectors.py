"""The vectors of webhooks, computed from published keys and without mailmesh's own signer.

`python -m tests.factories.webhook_vectors` writes the file again.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tools.generate.protos import ROOT

FILE = ROOT / "clients" / "conformance" / "webhooks.json"
SENT_AT = 1_795_780_800
EVENT = "0193-5f0e_evt"
BODY = '{"type":"mail.created", "data":{"subject":"Grüße, 例え. 🎉"}}\n'.encode()
OLD_SECRET, NEW_SECRET = bytes(range(24)), bytes(range(100, 164))
# The first seed is that of RFC 8032, section 7.1, test 1.
OLD_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
NEW_SEED = bytes(range(32))
# The order of the group (RFC 8032, section 5.1): a signature whose second half is not below it is another spelling.
ORDER = 2**252 + 27742317777372353535851937790883648493


def moment() -> datetime:
    """Return the time at which the vectors were signed."""
    return datetime.fromtimestamp(SENT_AT, UTC)


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


OLD_WHSEC, NEW_WHSEC = "whsec_" + encoded(OLD_SECRET), "whsec_" + encoded(NEW_SECRET)
OLD_WHPK, NEW_WHPK = "whpk_" + encoded(public(OLD_SEED)), "whpk_" + encoded(public(NEW_SEED))


def content(body: bytes, timestamp: str = str(SENT_AT), webhook_id: str = EVENT) -> bytes:
    return b".".join([webhook_id.encode(), timestamp.encode(), body])


def v1(secret: bytes = NEW_SECRET, body: bytes = BODY, **parts: str) -> str:
    return "v1," + encoded(hmac.new(secret, content(body, **parts), hashlib.sha256).digest())


def v1a(seed: bytes = NEW_SEED, body: bytes = BODY, **parts: str) -> str:
    return "v1a," + encoded(Ed25519PrivateKey.from_private_bytes(seed).sign(content(body, **parts)))


def respelled(signature: str) -> str:
    """Return an Ed25519 signature with the group's order added to its second half."""
    raw = base64.b64decode(signature.removeprefix("v1a,"))
    second = int.from_bytes(raw[32:], "little") + ORDER
    return "v1a," + encoded(raw[:32] + second.to_bytes(32, "little"))


def case(name: str, signature: str, keys: list[str], outcome: str = "signature_wrong", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "now": fields.get("now", SENT_AT),
        "webhookId": fields.get("webhook_id", EVENT),
        "webhookTimestamp": fields.get("timestamp", str(SENT_AT)),
        "webhookSignature": signature,
        "bodyBase64": encoded(fields.get("body", BODY)),
        "keys": keys,
        "outcome": outcome,
    }


def accepted() -> Iterator[dict[str, Any]]:
    yield case("v1", v1(), [NEW_WHSEC], "accepted")
    yield case("v1a", v1a(), [NEW_WHPK], "accepted")
    yield case("v1a with the key pair of RFC 8032", v1a(OLD_SEED), [OLD_WHPK], "accepted")
    yield case("v1 and v1a, receiver has the shared key", f"{v1()} {v1a()}", [NEW_WHSEC], "accepted")
    yield case("v1 and v1a, receiver has the public key", f"{v1()} {v1a()}", [NEW_WHPK], "accepted")
    yield case("sender rotates v1, receiver has the old key", f"{v1()} {v1(OLD_SECRET)}", [OLD_WHSEC], "accepted")
    yield case("sender rotates v1a, receiver has the old key", f"{v1a()} {v1a(OLD_SEED)}", [OLD_WHPK], "accepted")
    yield case("receiver rotates and trusts both keys", v1a(OLD_SEED), [NEW_WHPK, OLD_WHPK], "accepted")
    yield case("receiver trusts keys of both kinds", v1a(), [OLD_WHSEC, NEW_WHPK], "accepted")
    yield case("unknown versions are skipped", f"v2,AAAA v9x {v1a()}", [NEW_WHPK], "accepted")
    yield case("ill-formed entries are skipped", f"v1a v1a, v1a,!!!!  {v1a()} ", [NEW_WHPK], "accepted")
    yield case("five minutes late", v1a(), [NEW_WHPK], "accepted", now=SENT_AT + 300)
    yield case("five minutes early", v1a(), [NEW_WHPK], "accepted", now=SENT_AT - 300)
    for name, body in (("empty", b""), ("binary", bytes(range(256))), ("with full stops", b"1.2.{}")):
        yield case(f"v1, body is {name}", v1(body=body), [NEW_WHSEC], "accepted", body=body)
        yield case(f"v1a, body is {name}", v1a(body=body), [NEW_WHPK], "accepted", body=body)


def refused() -> Iterator[dict[str, Any]]:
    for kind, signature, key in (("v1", v1(), NEW_WHSEC), ("v1a", v1a(), NEW_WHPK)):
        yield case(f"{kind}, another body", signature, [key], body=BODY.strip())
        yield case(f"{kind}, another id", signature, [key], webhook_id="other")
        yield case(f"{kind}, another time", signature, [key], timestamp=str(SENT_AT + 1))
        yield case(f"{kind}, 301 seconds late", signature, [key], "too_old", now=SENT_AT + 301)
        yield case(f"{kind}, 301 seconds early", signature, [key], "too_new", now=SENT_AT - 301)
        yield case(f"{kind}, cut signature", signature[:-4], [key])
        yield case(f"{kind}, empty signature", f"{kind},", [key])
        yield case(f"{kind}, joined by commas", f"{signature},{signature}", [key])
    yield case("v1, another key", v1(), [OLD_WHSEC])
    yield case("v1a, another key", v1a(), [OLD_WHPK])
    yield case("no key", f"{v1()} {v1a()}", [])
    yield case("v1 named v1a", v1().replace("v1,", "v1a,"), [NEW_WHSEC, NEW_WHPK])
    yield case("v1a named v1", v1a().replace("v1a,", "v1,"), [NEW_WHSEC, NEW_WHPK])
    yield case("the public key used as a shared key", v1(public(NEW_SEED)), [NEW_WHPK])
    yield case("v1a, second half not reduced", respelled(v1a()), [NEW_WHPK])
    yield from missing_and_ill_formed()


def missing_and_ill_formed() -> Iterator[dict[str, Any]]:
    yield case("no signature header", "", [NEW_WHSEC], "header_missing")
    yield case("no id", v1(webhook_id=""), [NEW_WHSEC], "header_missing", webhook_id="")
    yield case("no timestamp", v1(timestamp=""), [NEW_WHSEC], "header_missing", timestamp="")
    for text in (
        f"{SENT_AT}.0",
        f"+{SENT_AT}",
        f"0{SENT_AT}",
        f" {SENT_AT}",
        "1.7957808e9",
        "-1",
        "9" * 40,
        "١٧٩٥٧٨٠٨٠٠",
    ):
        yield case(f"timestamp {text!r}", v1(timestamp=text), [NEW_WHSEC], "header_invalid", timestamp=text)
    yield case("too many signatures", f"{v1()} " + "v1,AAAA " * 512, [NEW_WHSEC], "header_invalid")
    # The signed bytes of the id "a", the time and the body "<time>.{}" read as the id "a.<time>" and the body "{}".
    shifted = v1(webhook_id="a", body=f"{SENT_AT}.{{}}".encode())
    yield case("full stop in the id", shifted, [NEW_WHSEC], "header_invalid", webhook_id=f"a.{SENT_AT}", body=b"{}")


def text() -> str:
    """Return the content of the file."""
    document = {
        "about": "The keys are public: for tests of verifiers only. An empty header stands for a missing one.",
        "toleranceSeconds": 300,
        "cases": [*accepted(), *refused()],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
