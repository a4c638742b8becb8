package mailmesh

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a call that failed.
type Error struct {
	// Reason is a name of the catalogue ErrorReason without its prefix, or of a later one. It is empty when the failure is not
	// mailmesh's own: a broken connection, a proxy on the way.
	Reason string
	// Code is the code of gRPC.
	Code codes.Code
	// Message is the text for a person.
	Message string
	// Metadata has the values that the reason's entry in the catalogue names.
	Metadata map[string]string
	// RetryAfter is the pause that mailmesh asks for, if HasRetryAfter.
	RetryAfter    time.Duration
	HasRetryAfter bool
	cause         error
}

// Error returns the reason, or the code without one, and the message.
func (e *Error) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%s: %s", e.Reason, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the error of gRPC.
func (e *Error) Unwrap() error { return e.cause }

// IsCursorLost returns whether events after the cursor are gone; reading can continue from OldestCursor.
func (e *Error) IsCursorLost() bool {
	return e.Reason == "CURSOR_EXPIRED" || e.Reason == "CURSOR_EPOCH_CHANGED"
}

// OldestCursor is the oldest cursor that is still served, if the cursor is lost.
func (e *Error) OldestCursor() string { return e.Metadata["oldest_cursor"] }

// IsKeyRefused returns whether the API key is unknown, expired or revoked.
func (e *Error) IsKeyRefused() bool {
	return e.Reason == "API_KEY_INVALID" || e.Reason == "KEY_REVOKED"
}

// ErrorOf returns the typed error of a failed call, or nil when err is nil.
func ErrorOf(err error) *Error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	told := status.Convert(err)
	failure := &Error{Code: told.Code(), Message: told.Message(), cause: err}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if failure.Reason == "" && detail.GetDomain() == "mailmesh" {
				failure.Reason, failure.Metadata = detail.GetReason(), detail.GetMetadata()
			}
		case *errdetails.RetryInfo:
			failure.RetryAfter, failure.HasRetryAfter = max(0, detail.GetRetryDelay().AsDuration()), true
		}
	}
	return failure
}
