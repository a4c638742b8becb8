// Conformance runs the cases of the conformance suite with the client. Cases come from the standard input, one a line.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	mailmesh "mailmesh.internal/clients/go"
	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
	vault "mailmesh.internal/gen/go/mailmesh/vault/v1"
)

const mostLineBytes = 1 << 20

var errEnough = errors.New("enough events were processed")

type say func(words ...string)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, mostLineBytes)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		tell := func(words ...string) { fmt.Println(fields[1] + "\t" + strings.Join(words, "\t")) }
		if err := answer(fields[0], tell, fields[2:]); err != nil {
			failure := mailmesh.ErrorOf(err)
			tell("error", kindOf(failure), reasonOf(failure), pauseOf(failure), metadataOf(failure))
		}
		tell("end")
	}
}

func answer(command string, tell say, fields []string) error {
	switch command {
	case "follow":
		return follow(tell, fields[0], fields[1], fields[2], fields[3], fields[4])
	case "tenant":
		return tenant(tell, fields[0], fields[1], fields[2])
	case "verify":
		return verify(tell, fields)
	}
	return errors.New("unknown command " + command)
}

func follow(tell say, url, key, place, count, gap string) error {
	ctx := context.Background()
	connection, err := mailmesh.Connect(url, key)
	if err != nil {
		return err
	}
	defer connection.Close()
	left, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	store := storeOf(place)
	options := mailmesh.Options{
		View: processor.EventView_EVENT_VIEW_BODY, HeartbeatSeconds: 1, FirstPause: 50 * time.Millisecond, LongestPause: 200 * time.Millisecond,
	}
	if gap == "continue" {
		options.OnGap = func(lost *mailmesh.Error) { tell("gap", lost.Reason, lost.OldestCursor()) }
	}
	err = mailmesh.Follow(ctx, connection, store, options, func(event *processor.Event) error {
		if left == 0 {
			return errEnough
		}
		left--
		mail := event.GetMail()
		tell("event", mail.GetEventId(), mail.GetEventType(), strconv.Itoa(len(mail.GetMessage().GetBody().GetText())))
		return nil
	})
	cursor, fault := store.Load(ctx)
	tell("cursor", cursor)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, fault)
}

func storeOf(place string) mailmesh.CursorStore {
	kind, where, _ := strings.Cut(place, ":")
	if kind == "file" {
		return mailmesh.FileCursorStore{Path: where}
	}
	return &mailmesh.MemoryCursorStore{Cursor: where}
}

func tenant(tell say, url, key, tenantID string) error {
	connection, err := mailmesh.Connect(url, key)
	if err != nil {
		return err
	}
	defer connection.Close()
	reply, err := vault.NewTenantServiceClient(connection).GetTenant(context.Background(), &vault.GetTenantRequest{TenantId: tenantID})
	if err != nil {
		return err
	}
	tell("tenant", reply.GetTenant().GetTenantId(), strconv.Itoa(int(reply.GetTenant().GetStatus())))
	return nil
}

func verify(tell say, fields []string) error {
	now, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return err
	}
	body, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil {
		return err
	}
	headers := mailmesh.WebhookHeaders{ID: fields[1], Timestamp: fields[2], Signatures: fields[3]}
	outcome, err := mailmesh.VerifyWebhook(strings.Fields(fields[5]), headers, body, now)
	tell(outcome)
	return err
}

func kindOf(failure *mailmesh.Error) string {
	switch {
	case failure.IsCursorLost():
		return "cursor_lost"
	case failure.IsKeyRefused():
		return "key_refused"
	}
	return "failed"
}

func reasonOf(failure *mailmesh.Error) string {
	if failure.Reason != "" {
		return failure.Reason
	}
	// Go writes the codes in its own case: Unimplemented.
	return strings.ToUpper(failure.Code.String())
}

func pauseOf(failure *mailmesh.Error) string {
	if !failure.HasRetryAfter {
		return ""
	}
	return strconv.Itoa(int(failure.RetryAfter.Seconds()))
}

func metadataOf(failure *mailmesh.Error) string {
	var pairs []string
	for key, value := range failure.Metadata {
		pairs = append(pairs, key+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
