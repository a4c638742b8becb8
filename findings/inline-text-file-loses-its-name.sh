#!/usr/bin/env bash
# Expected: a text file that a mail program shows below the text (Content-Disposition: inline; filename="notes.txt", as Apple Mail sends
#           it) is in the list of attachments, with its name.
# Seen:     postal-mime and mailparser append its content to the mail's text and list no attachment; the name is gone, and where the
#           text ends and the file begins cannot be seen. Both list the same file as text/csv. Python's email lists either.
# Versions: postal-mime 4.0.0, mailparser 3.14.2 (npm), CPython 3.11.
# Source:   RFC 2183 sections 2.1 and 2.3: inline says how a part is shown, filename that it may be kept as a file; the output below was
#           seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
echo '{"type": "module", "private": true}' > package.json
npm install --silent --ignore-scripts --no-audit --no-fund postal-mime@4.0.0 mailparser@3.14.2
cat > write.py <<'P'
from pathlib import Path

for name, kind in (("notes.txt", "text/plain"), ("list.csv", "text/csv")):
    lines = [
        "From: a@example.com", "To: b@example.com", "Subject: files", "MIME-Version: 1.0",
        "Content-Type: multipart/mixed; boundary=edge", "",
        "--edge", "Content-Type: text/plain; charset=utf-8", "", "See below.",
        "--edge", f"Content-Type: {kind}; charset=utf-8; name={name}",
        f"Content-Disposition: inline; filename={name}", "", "12 pieces", "--edge--", "",
    ]
    Path(f"{name}.eml").write_bytes("\r\n".join(lines).encode())
P
cat > read.py <<'P'
import email
import email.policy
from pathlib import Path

for name in ("notes.txt", "list.csv"):
    mail = email.message_from_bytes(Path(f"{name}.eml").read_bytes(), policy=email.policy.default)
    print(f"{name}: Python's email", [part.get_filename() for part in mail.iter_attachments()], ascii(mail.get_body().get_content().strip()))
P
cat > read.mjs <<'P'
import { readFileSync } from 'node:fs'
import { simpleParser } from 'mailparser'
import PostalMime from 'postal-mime'
for (const name of ['notes.txt', 'list.csv']) {
  const raw = readFileSync(`${name}.eml`)
  for (const [parser, mail] of [['postal-mime', await PostalMime.parse(raw)], ['mailparser', await simpleParser(raw)]]) {
    console.log(`${name}: ${parser}`, mail.attachments.map((file) => file.filename), JSON.stringify(mail.text.trim()))
  }
}
P
python3 write.py
{ python3 read.py; node read.mjs; } | tee seen
diff -u - seen <<'O'
notes.txt: Python's email ['notes.txt'] 'See below.'
list.csv: Python's email ['list.csv'] 'See below.'
notes.txt: postal-mime [] "See below.\n\n12 pieces"
notes.txt: mailparser [] "See below.\n12 pieces"
list.csv: postal-mime [ 'list.csv' ] "See below."
list.csv: mailparser [ 'list.csv' ] "See below."
O
