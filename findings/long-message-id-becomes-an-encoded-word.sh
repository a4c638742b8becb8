#!/usr/bin/env bash
# Expected: a reply written by Python's email package names the mail that it answers, so every reader finds the thread.
# Seen:     email.policy.SMTP writes an id that is longer than a line as encoded words, although RFC 2047 section 5 allows
#           no encoded word in a msg-id. A forgiving parser (mailparser) decodes it; a parser of msg-ids by RFC 5322
#           (go-message) finds none, so the reply begins a new thread there. max_line_length=None writes the id as it is.
# Versions: CPython 3.11, mailparser 3.12.4 (npm), github.com/emersion/go-message v0.18.2.
# Source:   RFC 5322 section 3.6.4 and RFC 2047 section 5; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT; cd "$folder"
npm init -y >/dev/null
npm install --ignore-scripts --no-audit --no-fund --loglevel=error mailparser@3.12.4 >/dev/null
go mod init example/read >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/emersion/go-message@v0.18.2 >/dev/null 2>&1
cat > write.py <<'P'
import sys
from email.message import EmailMessage
from email.policy import SMTP

PARENT = "<" + "0123456789abcdef" * 5 + "@relay.post.example>"
reply = EmailMessage(policy=SMTP.clone(max_line_length=None) if sys.argv[1] == "unfolded" else SMTP)
reply["From"], reply["To"], reply["Subject"] = "kim@post.example", "lee@post.example", "Re: plan"
reply["In-Reply-To"] = PARENT
reply.set_payload("Fine.")
sys.stdout.buffer.write(reply.as_bytes())
P
cat > read.mjs <<'J'
import { readFileSync } from "node:fs";
import { simpleParser } from "mailparser";
const parent = "<" + "0123456789abcdef".repeat(5) + "@relay.post.example>";
const mail = await simpleParser(readFileSync(process.argv[2]));
console.log(`mailparser: ${mail.inReplyTo === parent ? "the parent" : "another text"}`);
J
cat > read.go <<'G'
package main

import (
	"fmt"
	"os"

	"github.com/emersion/go-message/mail"
)

func main() {
	file, _ := os.Open(os.Args[1])
	reader, err := mail.CreateReader(file)
	if err != nil {
		panic(err)
	}
	ids, err := reader.Header.MsgIDList("In-Reply-To")
	fmt.Printf("go-message: %d ids, error: %t\n", len(ids), err != nil)
}
G
for form in default unfolded; do
  python3 write.py "$form" > "$form.eml"
  { echo "== $form"; grep -c '^In-Reply-To: =?utf-8?q?' "$form.eml" || true; node read.mjs "$form.eml"
    GOFLAGS=-mod=mod go run read.go "$form.eml"; } | tee -a seen
done
diff -u - seen <<'O'
== default
1
mailparser: the parent
go-message: 0 ids, error: true
== unfolded
0
mailparser: the parent
go-message: 1 ids, error: false
O
