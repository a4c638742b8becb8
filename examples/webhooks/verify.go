// Verifies mailmesh's webhooks with Go's standard library.
//
// verify is all that a receiver needs. Run as a program, the file reads cases from its input, one a line; see README.md.
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"regexp"
	"strconv"
	"strings"
)

const (
	toleranceSeconds = 300
	mostCharacters   = 4096
)

var (
	webhookID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	timestampOf = regexp.MustCompile(`^[1-9][0-9]{0,11}$`)
)

// headers are the three headers of a webhook; a missing one is empty: `request.Header.Get("Webhook-Id")`.
type headers struct{ id, timestamp, signatures string }

// verify returns the refusal of a webhook, or "accepted".
//
// keys are the `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one. body is the bytes
// as received, before any parsing. now is in seconds since 1970.
func verify(keys []string, given headers, body []byte, now int64) string {
	if given.id == "" || given.timestamp == "" || given.signatures == "" {
		return "header_missing"
	}
	if !webhookID.MatchString(given.id) || !timestampOf.MatchString(given.timestamp) || len(given.signatures) > mostCharacters {
		return "header_invalid"
	}
	sent, _ := strconv.ParseInt(given.timestamp, 10, 64) // Twelve digits at most.
	if now-sent > toleranceSeconds {
		return "too_old"
	}
	if sent-now > toleranceSeconds {
		return "too_new"
	}
	content := append([]byte(given.id+"."+given.timestamp+"."), body...)
	for _, entry := range strings.Split(given.signatures, " ") {
		for _, key := range keys {
			if matches(key, entry, content) {
				return "accepted"
			}
		}
	}
	return "signature_wrong"
}

// matches returns whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it.
func matches(key, entry string, content []byte) bool {
	version, text, _ := strings.Cut(entry, ",")
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	form, encoded, _ := strings.Cut(key, "_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		log.Fatal("a key is whsec_ or whpk_ and standard base64")
	}
	switch form + " " + version {
	case "whsec v1":
		sum := hmac.New(sha256.New, raw)
		sum.Write(content)
		return hmac.Equal(sum.Sum(nil), signature)
	case "whpk v1a":
		return len(raw) == ed25519.PublicKeySize && ed25519.Verify(raw, content, signature)
	}
	return false
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		now, _ := strconv.ParseInt(fields[0], 10, 64)
		body, err := base64.StdEncoding.DecodeString(fields[4])
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(verify(strings.Fields(fields[5]), headers{fields[1], fields[2], fields[3]}, body, now))
	}
}
