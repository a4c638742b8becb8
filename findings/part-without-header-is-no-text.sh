#!/usr/bin/env bash
# Expected: a part of a multipart without header fields is text/plain, and its text belongs to the mail's text. RFC 2046's own example of
#           a multipart has such a part.
# Seen:     enmime makes it an unnamed "other part" and leaves its text out of the envelope's text; there is a warning about a missing
#           Content-Type, which the RFC does not require. The same holds for a part with a Content-ID alone. go-message
#           reads the text of both parts.
# Versions: github.com/jhillyerd/enmime/v2 v2.3.0, github.com/emersion/go-message v0.18.2.
# Source:   RFC 2046 section 5.1 ("NO header fields are actually required in body parts") and section 5.1.1; the output below was
#           seen by running this file.
set -euo pipefail
folder=$(mktemp -d); trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT; cd "$folder"
go mod init example/read >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/jhillyerd/enmime/v2@v2.3.0 github.com/emersion/go-message@v0.18.2 >/dev/null 2>&1
cat > main.go <<'P'
package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-message/mail"
	"github.com/jhillyerd/enmime/v2"
)

var lines = []string{
	"From: a@example.com", "To: b@example.com", "Subject: two parts", "MIME-Version: 1.0",
	"Content-Type: multipart/mixed; boundary=edge", "",
	"--edge", "", "The order has 12 pieces.",
	"--edge", "Content-Type: text/plain; charset=us-ascii", "", "They leave on Monday.",
	"--edge--", "",
}

func main() {
	raw := strings.Join(lines, "\r\n")
	envelope, err := enmime.ReadEnvelope(strings.NewReader(raw))
	if err != nil {
		panic(err)
	}
	fmt.Printf("enmime:     %q, other parts %d\n", envelope.Text, len(envelope.OtherParts))
	reader, err := mail.CreateReader(strings.NewReader(raw))
	if err != nil {
		panic(err)
	}
	fmt.Print("go-message:")
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			break
		} else if err != nil {
			panic(err)
		}
		text, err := io.ReadAll(part.Body)
		if err != nil {
			panic(err)
		}
		fmt.Printf(" %q", text)
	}
	fmt.Println()
}
P
GOFLAGS=-mod=mod go run . | tee seen
diff -u - seen <<'O'
enmime:     "They leave on Monday.", other parts 1
go-message: "The order has 12 pieces." "They leave on Monday."
O
