#!/usr/bin/env bash
# Expected: an encoded word may name its language behind the charset, as "=?US-ASCII*EN?Q?Keith_Moore?=" does in RFC 2231; a reader that has
#           no use for the language decodes the word all the same.
# Seen:     Go's mime.WordDecoder takes "us-ascii*en" for the charset. enmime shows the undecoded word as the subject, go-message
#           answers with an error for the whole field, and fast-mail-parser shows the undecoded word, too. Python's email and mail-parser
#           decode it.
# Versions: github.com/jhillyerd/enmime/v2 v2.3.0, github.com/emersion/go-message v0.18.2, fast-mail-parser 0.10.0, mail-parser 4.8.0
#           (PyPI), CPython 3.11.
# Source:   RFC 2231 section 5, whose example this is; the output below was seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check mail-parser==4.8.0 fast-mail-parser==0.10.0
go mod init example/read >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/jhillyerd/enmime/v2@v2.3.0 github.com/emersion/go-message@v0.18.2 >/dev/null 2>&1
printf '%s\r\n' 'From: a@example.com' 'Subject: =?US-ASCII*EN?Q?Keith_Moore?=' 'MIME-Version: 1.0' 'Content-Type: text/plain' '' x > mail.eml
cat > read.py <<'P'
import email
import email.policy
from pathlib import Path

import fast_mail_parser
import mailparser

raw = Path("mail.eml").read_bytes()
print("email:", email.message_from_bytes(raw, policy=email.policy.default)["subject"])
print("mail-parser:", mailparser.parse_from_bytes(raw).subject)
print("fast-mail-parser:", fast_mail_parser.parse_email(raw).subject)
P
cat > main.go <<'P'
package main

import (
	"bytes"
	"fmt"
	"os"

	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
	"github.com/jhillyerd/enmime/v2"
)

func main() {
	raw, err := os.ReadFile("mail.eml")
	if err != nil {
		panic(err)
	}
	envelope, err := enmime.ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		panic(err)
	}
	fmt.Println("enmime:", envelope.GetHeader("Subject"))
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if err != nil {
		panic(err)
	}
	subject, err := reader.Header.Subject()
	fmt.Printf("go-message: %q, error: %v\n", subject, err)
}
P
{ venv/bin/python read.py 2>/dev/null; GOFLAGS=-mod=mod go run .; } | tee seen
diff -u - seen <<'O'
email: Keith Moore
mail-parser: Keith Moore
fast-mail-parser: =?US-ASCII*EN?Q?Keith_Moore?=
enmime: =?US-ASCII*EN?Q?Keith_Moore?=
go-message: "=?US-ASCII*EN?Q?Keith_Moore?=", error: unknown charset: charset "us-ascii*en": htmlindex: invalid encoding name
O
