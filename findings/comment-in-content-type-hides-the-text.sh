#!/usr/bin/env bash
# Expected: comments in Content-Type and Content-Transfer-Encoding are ignored, as in every structured header field; the text is read as
#           without them.
# Seen:     a comment behind the type makes the text disappear: Python's get_body() finds no text/plain, mail-parser and
#           fast-mail-parser return an empty list, none reports a defect. A comment beside the encoding leaves base64 undecoded, in
#           all three. Behind the charset it is harmless to Python's email; mail-parser reports a defect for it, and
#           fast-mail-parser decodes by another charset. mailparser for Node reads all of them.
# Versions: CPython 3.11, mail-parser 4.8.0, fast-mail-parser 0.10.0 (PyPI), mailparser 3.14.2 (npm).
# Source:   RFC 2045 section 5.1, by which both fields may have comments as other structured fields do; the
#           output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mail-parser==4.8.0 fast-mail-parser==0.10.0
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund mailparser@3.14.2
cat > read.py <<'P'
import email
import email.policy
import logging
from pathlib import Path

import fast_mail_parser
import mailparser

logging.disable(logging.CRITICAL)
FIELDS = {
    "type": ("text/plain (just text); charset=utf-8", "base64"),
    "encoding": ("text/plain; charset=utf-8", "base64 (as usual)"),
    "charset": ("text/plain; charset=utf-8 (Unicode)", "base64"),
}
for name, (content, encoding) in FIELDS.items():
    raw = (
        "From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: {content}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\nNSDigqw=\r\n"
    ).encode()
    Path(f"{name}.eml").write_bytes(raw)
    body = email.message_from_bytes(raw, policy=email.policy.default).get_body(("plain",))
    print(
        f"comment behind the {name}: email {None if body is None else body.get_content().strip()!a},",
        f"mail-parser {ascii([text.strip() for text in mailparser.parse_from_bytes(raw).text_plain])},",
        f"fast-mail-parser {ascii([text.strip() for text in fast_mail_parser.parse_email(raw).text_plain])}",
    )
P
cat > read.mjs <<'P'
import { readFileSync } from 'node:fs'
import { simpleParser } from 'mailparser'
for (const name of ['type', 'encoding', 'charset']) {
  const mail = await simpleParser(readFileSync(`${name}.eml`))
  console.log(`comment behind the ${name}: mailparser for Node ${mail.text.trim() === '5 €'}`)
}
P
{ venv/bin/python read.py 2>/dev/null; node read.mjs; } | tee seen
diff -u - seen <<'O'
comment behind the type: email None, mail-parser [], fast-mail-parser []
comment behind the encoding: email 'NSDigqw=', mail-parser ['NSDigqw='], fast-mail-parser ['NSDigqw=']
comment behind the charset: email '5 \u20ac', mail-parser ['5 \u20ac'], fast-mail-parser ['5 \ufffd\ufffd\ufffd']
comment behind the type: mailparser for Node true
comment behind the encoding: mailparser for Node true
comment behind the charset: mailparser for Node true
O
