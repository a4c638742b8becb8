package mailmesh

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
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

// ErrWebhookKey is a key that is not whsec_ or whpk_ and standard base64.
var ErrWebhookKey = errors.New("a webhook key is whsec_ or whpk_ and standard base64")

// WebhookHeaders are the three headers of a webhook; a missing one is empty: `request.Header.Get("Webhook-Id")`.
type WebhookHeaders struct{ ID, Timestamp, Signatures string }

// VerifyWebhook returns "accepted" or the refusal of a webhook: "header_missing", "header_invalid", "too_old", "too_new" or
// "signature_wrong".
//
// keys are the `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one. body is the bytes
// as received, before any parsing. now is in seconds since 1970. A malformed key fails with ErrWebhookKey.
func VerifyWebhook(keys []string, given WebhookHeaders, body []byte, now int64) (string, error) {
	if given.ID == "" || given.Timestamp == "" || given.Signatures == "" {
		return "header_missing", nil
	}
	if !webhookID.MatchString(given.ID) || !timestampOf.MatchString(given.Timestamp) || len(given.Signatures) > mostCharacters {
		return "header_invalid", nil
	}
	sent, _ := strconv.ParseInt(given.Timestamp, 10, 64) // Twelve digits at most.
	if now-sent > toleranceSeconds {
		return "too_old", nil
	}
	if sent-now > toleranceSeconds {
		return "too_new", nil
	}
	content := append([]byte(given.ID+"."+given.Timestamp+"."), body...)
	for _, entry := range strings.Split(given.Signatures, " ") {
		for _, key := range keys {
			is, err := matches(key, entry, content)
			if err != nil {
				return "", err
			}
			if is {
				return "accepted", nil
			}
		}
	}
	return "signature_wrong", nil
}

// matches returns whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it.
func matches(key, entry string, content []byte) (bool, error) {
	version, text, _ := strings.Cut(entry, ",")
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return false, nil
	}
	form, encoded, _ := strings.Cut(key, "_")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return false, ErrWebhookKey
	}
	switch form + " " + version {
	case "whsec v1":
		sum := hmac.New(sha256.New, raw)
		sum.Write(content)
		return hmac.Equal(sum.Sum(nil), signature), nil
	case "whpk v1a":
		return len(raw) == ed25519.PublicKeySize && ed25519.Verify(raw, content, signature), nil
	}
	return false, nil
}
