package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
)

// meet creates a Teams meeting and prints the id of the write. The key is derived from the meeting, so that the program may be
// repeated after any failure: it is the same write, and never a second meeting.
func meet(ctx context.Context, connection *grpc.ClientConn, calendarID, subject, start, end, zone string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	digest := sha256.Sum256([]byte(strings.Join([]string{calendarID, subject, start, end, zone}, "\n")))
	answer, err := processor.NewCalendarServiceClient(connection).CreateCalendarEvent(ctx, &processor.CreateCalendarEventRequest{
		IdempotencyKey: "meet-" + hex.EncodeToString(digest[:]),
		CalendarId:     calendarID,
		Event: &processor.NewCalendarEvent{
			Subject:               subject,
			Start:                 &processor.NewEventTime{Local: start, TimeZone: zone},
			End:                   &processor.NewEventTime{Local: end, TimeZone: zone},
			OnlineMeetingProvider: "teamsForBusiness",
		},
		Notify: processor.CalendarNotify_CALENDAR_NOTIFY_ALL,
	})
	if err != nil {
		return err
	}
	fmt.Println(answer.GetWrite().GetCalendarWriteId())
	return nil
}

// accept accepts an invitation, notifies its organizer, and prints the id of the write; it may be repeated, too.
func accept(ctx context.Context, connection *grpc.ClientConn, eventID string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	answer, err := processor.NewCalendarServiceClient(connection).RespondToCalendarEvent(ctx, &processor.RespondToCalendarEventRequest{
		IdempotencyKey:  "accept-" + eventID,
		CalendarEventId: eventID,
		Answer:          processor.CalendarAnswer_CALENDAR_ANSWER_ACCEPTED,
		Notify:          processor.CalendarNotify_CALENDAR_NOTIFY_ALL,
	})
	if err != nil {
		return err
	}
	fmt.Println(answer.GetWrite().GetCalendarWriteId())
	return nil
}
