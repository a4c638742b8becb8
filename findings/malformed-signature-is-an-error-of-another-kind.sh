#!/usr/bin/env bash
# Expected: a receiver that catches WebhookVerificationError refuses every webhook that a stranger can make up; the docstring
#           of Webhook.verify promises this error for headers that are "missing, invalid, too old or too new".
# Seen:     Python's standardwebhooks raises ValueError for an entry of webhook-signature without a comma, with two (the form
#           of a header that a proxy joins by commas) or with base64 that is cut off, before any signature is compared: a
#           stranger makes the receiver answer 500, and a good signature beside such an entry is lost. The library for
#           JavaScript skips such entries, and takes the first of two signatures that a comma joins.
# Versions: standardwebhooks 1.1.0 (Python), standardwebhooks 1.1.1 (npm).
# Source:   standard-webhooks, spec/standard-webhooks.md, "Webhook headers": a list of signatures, of which one must match; the
#           output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --no-deps standardwebhooks==1.1.0
npm init -y >/dev/null
npm install --ignore-scripts --no-audit --no-fund --loglevel=error standardwebhooks@1.1.1 >/dev/null
cat > cases.py <<'P'
import json
from datetime import UTC, datetime

from standardwebhooks import Webhook

KEY, NOW = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", datetime.now(UTC)
good = Webhook(KEY).sign("id", NOW, "{}")
cases = {
    "good": good,
    "joined by a comma": f"{good},{good}",
    "without a comma before a good one": f"v2 {good}",
    "two spaces before a good one": f"  {good}",
    "base64 cut off before a good one": f"v1,A {good}",
}
headers = {"webhook-id": "id", "webhook-timestamp": str(int(NOW.timestamp()))}
print(json.dumps([[name, KEY, headers | {"webhook-signature": text}] for name, text in cases.items()]))
P
cat > read.py <<'P'
import json

from standardwebhooks import Webhook, WebhookVerificationError

for name, key, headers in json.load(open("cases.json")):
    try:
        Webhook(key).verify("{}", headers)
        outcome = "accepted"
    except WebhookVerificationError:
        outcome = "refused"
    except ValueError:
        outcome = "ValueError"
    print(f"{name}: {outcome}")
P
cat > read.mjs <<'J'
import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";
for (const [name, key, headers] of JSON.parse(readFileSync("cases.json", "utf8"))) {
  let outcome = "accepted";
  try {
    new Webhook(key).verify("{}", headers);
  } catch (error) {
    outcome = error instanceof WebhookVerificationError ? "refused" : error.constructor.name;
  }
  console.log(`${name}: ${outcome}`);
}
J
venv/bin/python cases.py > cases.json
{ echo "== Python"; venv/bin/python read.py; echo "== JavaScript"; node read.mjs; } | tee seen
diff -u - seen <<'O'
== Python
good: accepted
joined by a comma: ValueError
without a comma before a good one: ValueError
two spaces before a good one: ValueError
base64 cut off before a good one: ValueError
== JavaScript
good: accepted
joined by a comma: accepted
without a comma before a good one: accepted
two spaces before a good one: accepted
base64 cut off before a good one: accepted
O
