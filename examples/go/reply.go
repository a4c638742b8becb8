package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/grpc"

	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
)

const callTime = 30 * time.Second

// reply answers a mail of an account and prints the id of the send. The key is derived from the mail that is answered, so that the
// program may be repeated after any failure: it is the same send, and never a second mail.
func reply(ctx context.Context, connection *grpc.ClientConn, tenantID, messageID, text string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	digest := sha256.Sum256([]byte(messageID))
	answer, err := processor.NewSendServiceClient(connection).Send(ctx, &processor.SendRequest{
		IdempotencyKey: "reply-" + hex.EncodeToString(digest[:]),
		TenantId:       tenantID,
		Kind:           &processor.SendRequest_Reply{Reply: &processor.Reply{MessageId: messageID, Text: text}},
	})
	if err != nil {
		return err
	}
	fmt.Println(answer.GetSend().GetSendId())
	return nil
}
