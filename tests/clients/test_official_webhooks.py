"""The official library of Standard Webhooks for JavaScript accepts mailmesh's `v1` signatures and refuses others."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

from services.delivery.signature import sign
from services.delivery.signing_keys import Ed25519Key, HmacKey, SigningKey
from tests.programs.toolchains import require
from tools.generate.protos import ROOT

KEY, OTHER = HmacKey.generate(), HmacKey.generate()
BODY = '{"type": "mail.created", "data": {"subject": "Grüße 🎉"}}\n'
# Each line of the input is one webhook; each line of the output says whether the library accepts it.
PROGRAM = """
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";
for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("accepted");
  } catch (error) {
    console.log(error.message);
  }
}
"""


def webhook(keys: list[SigningKey], *, age: float = 0, **changes: str) -> str:
    headers = sign(keys, "event-1", datetime.now(UTC) - timedelta(seconds=age), BODY.encode())
    return json.dumps({"secret": KEY.write().reveal(), "headers": headers, "body": BODY} | changes)


def test_the_official_library_accepts_a_shared_keys_signature_only() -> None:
    library = ROOT / "node_modules" / "standardwebhooks"
    require("node")
    assert library.is_dir(), "npm ci installs it"
    webhooks = [
        webhook([KEY]),
        webhook([OTHER, KEY]),
        webhook([KEY, OTHER]),
        webhook([Ed25519Key.generate(), KEY]),
        webhook([OTHER]),
        webhook([Ed25519Key.generate()]),
        webhook([KEY], body=BODY.strip()),
        webhook([KEY], age=400),
    ]
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", PROGRAM],
        cwd=ROOT,
        input="\n".join(webhooks),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == [
        *["accepted"] * 4,
        *["No matching signature found"] * 3,
        "Message timestamp too old",
    ]
