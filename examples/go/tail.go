package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
)

const failuresInARow = 10

var (
	// The stream ended, but the last position is good: open it again.
	passing = []string{
		"OVERLOADED", "RATE_LIMITED", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "SHUTTING_DOWN", "STORE_UNAVAILABLE",
	}
	// The events between the saved cursor and the oldest event are gone: report that, and continue from there.
	cursorLost = []string{"CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED"}

	errEnough = errors.New("enough events were seen")
)

// tail prints events from the saved cursor on, and saves the cursor after it has processed each event. An event is
// delivered again when the program dies while it processes it; its id is the same each time.
func tail(ctx context.Context, connection *grpc.ClientConn, cursorFile string, howMany int) error {
	cursor, err := load(cursorFile)
	if err != nil {
		return err
	}
	client := processor.NewEventServiceClient(connection)
	for failures := 0; ; {
		err := follow(ctx, client, cursor, func(position string, event *processor.Event) error {
			failures, cursor = 0, position
			if event != nil {
				fmt.Println(lineOf(event))
				howMany--
			}
			if err := save(cursorFile, position); err != nil {
				return err
			}
			if howMany == 0 {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			failures++
			if cursor, err = goOnFrom(err, cursor, failures); err != nil {
				return err
			}
		}
		time.Sleep(min(100*time.Millisecond<<failures, 30*time.Second))
	}
}

// follow opens the stream once and gives each step to work: its position, and the event if the step has one.
func follow(
	ctx context.Context, client processor.EventServiceClient, cursor string, work func(string, *processor.Event) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.StreamEvents(ctx, &processor.StreamEventsRequest{Cursor: cursor})
	if err != nil {
		return err
	}
	for {
		step, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		position := step.GetHeartbeat().GetPosition()
		if event := step.GetEvent(); event != nil {
			position = event.GetPosition()
		}
		if err := work(position, step.GetEvent()); err != nil {
			return err
		}
	}
}

// goOnFrom returns the cursor to open the stream again with, or the error when a new cursor does not fix it.
func goOnFrom(err error, cursor string, failures int) (string, error) {
	info := errorInfo(err)
	switch {
	case failures > failuresInARow:
		return "", err
	case slices.Contains(cursorLost, info.GetReason()):
		fmt.Fprintln(os.Stderr, info.GetReason()+": events were missed")
		return info.GetMetadata()["oldest_cursor"], nil
	case slices.Contains(passing, info.GetReason()), status.Code(err) == codes.Unavailable:
		return cursor, nil
	}
	return "", err
}

// lineOf returns an event in a line. Kinds that this program does not know have only their position.
func lineOf(event *processor.Event) string {
	switch kind := event.GetKind().(type) {
	case *processor.Event_Mail:
		return fmt.Sprintf("%s\t%s\t%s", kind.Mail.GetEventType(), kind.Mail.GetTenantId(), kind.Mail.GetMessage().GetSubject())
	case *processor.Event_Tenant:
		return fmt.Sprintf("%s\t%s\t%s", kind.Tenant.GetEventType(), kind.Tenant.GetTenantId(), kind.Tenant.GetStatusReason())
	}
	return "unknown\t" + event.GetPosition()
}

// load returns the saved cursor, or the beginning when there is none yet.
func load(cursorFile string) (string, error) {
	cursor, err := os.ReadFile(cursorFile)
	if errors.Is(err, os.ErrNotExist) {
		return "earliest", nil
	}
	return string(cursor), err
}

// save puts the cursor in the place of the old one in one step.
func save(cursorFile, cursor string) error {
	if err := os.WriteFile(cursorFile+".new", []byte(cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(cursorFile+".new", cursorFile)
}
