package mailmesh

import (
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
)

const longestRetryAfter = 5 * time.Minute

var (
	passing = []string{
		"OVERLOADED", "RATE_LIMITED", "READER_TOO_SLOW", "SERVICE_UNAVAILABLE", "SHUTTING_DOWN", "STORE_UNAVAILABLE",
	}
	// The codes of a broken connection or of a proxy on the way, as far as no reason says more.
	broken = []codes.Code{codes.Aborted, codes.Canceled, codes.DeadlineExceeded, codes.Internal, codes.Unknown}
)

// Options says how to follow the stream. The zero value follows all events that the key may see, from the earliest on.
type Options struct {
	// Start is where a follower without a saved cursor starts: "earliest" (the default) or "latest".
	Start string
	// Filter selects the events to receive; nil means all that the key may see.
	Filter *processor.EventFilter
	// View is how much of each event to receive; the default is EVENT_VIEW_BASIC.
	View processor.EventView
	// HeartbeatSeconds is the longest silence that is asked for, 1 to 60; 0 means 15. After three times as long without a
	// message the stream counts as broken.
	HeartbeatSeconds int32
	// FirstPause and LongestPause bound the pauses between attempts; the defaults are 200 ms and 30 s.
	FirstPause, LongestPause time.Duration
	// OnGap is called when events after the cursor are gone, before reading continues from the oldest one. Without it, the
	// failure ends following.
	OnGap func(lost *Error)
}

func (o Options) withDefaults() Options {
	if o.Start == "" {
		o.Start = "earliest"
	}
	if o.HeartbeatSeconds == 0 {
		o.HeartbeatSeconds = 15
	}
	if o.FirstPause == 0 {
		o.FirstPause = 200 * time.Millisecond
	}
	if o.LongestPause == 0 {
		o.LongestPause = 30 * time.Second
	}
	return o
}

func (o Options) silence() time.Duration { return 3 * time.Duration(o.HeartbeatSeconds) * time.Second }

// pause returns the pause after this many failures in a row; mailmesh may ask for a longer one.
func (o Options) pause(failures int, failure *Error) time.Duration {
	doubled := o.FirstPause << min(failures-1, 16)
	pause := time.Duration(float64(min(doubled, o.LongestPause)) * (0.5 + rand.Float64()/2))
	if failure != nil {
		pause = max(pause, min(failure.RetryAfter, longestRetryAfter))
	}
	return pause
}

// cursorAfter returns the cursor with which to open the stream again, or the failure that another attempt does not fix.
func (o Options) cursorAfter(failure *Error, cursor string) (string, error) {
	if failure.IsCursorLost() {
		if o.OnGap == nil || failure.OldestCursor() == "" {
			return "", failure
		}
		o.OnGap(failure)
		return failure.OldestCursor(), nil
	}
	if isPassing(failure) {
		return cursor, nil
	}
	return "", failure
}

func isPassing(failure *Error) bool {
	if slices.Contains(passing, failure.Reason) || failure.Code == codes.Unavailable || failure.HasRetryAfter {
		return true
	}
	return failure.Reason == "" && slices.Contains(broken, failure.Code)
}
