package mailmesh

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"

	processor "mailmesh.internal/gen/go/mailmesh/processor/v1"
)

// processed is a fault of processing or of the store, which ends following as it is.
type processed struct{ fault error }

func (p processed) Error() string { return p.fault.Error() }

// Follow gives the events behind the saved cursor to process, for ever.
//
// It saves the cursor of an event after process returned nil: an event whose processing failed is delivered again, with the same
// id. Follow returns the error of process or of the store, the context's error, or an *Error that another attempt does not fix,
// such as a refused key or a lost cursor.
func Follow(ctx context.Context, connection grpc.ClientConnInterface, store CursorStore, options Options, process func(*processor.Event) error) error {
	options = options.withDefaults()
	cursor, err := store.Load(ctx)
	if err != nil {
		return err
	}
	if cursor == "" {
		cursor = options.Start
	}
	for failures := 1; ; failures++ {
		err := steps(ctx, connection, options, cursor, func(position string, event *processor.Event) error {
			failures = 0
			if event != nil {
				if err := process(event); err != nil {
					return err
				}
			}
			if position == "" {
				return nil
			}
			cursor = position
			return store.Save(ctx, position)
		})
		var own processed
		if errors.As(err, &own) {
			return own.fault
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failure := ErrorOf(err)
		if failure != nil {
			if cursor, err = options.cursorAfter(failure, cursor); err != nil {
				return err
			}
		}
		if err := sleep(ctx, options.pause(max(failures, 1), failure)); err != nil {
			return err
		}
	}
}

// steps opens the stream once and gives each step to work, until the stream ends or falls silent.
func steps(ctx context.Context, connection grpc.ClientConnInterface, options Options, cursor string, work func(string, *processor.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Runs while the stream is waited for, and not while an event is processed.
	watch := time.AfterFunc(options.silence(), cancel)
	defer watch.Stop()
	stream, err := processor.NewEventServiceClient(connection).StreamEvents(ctx, &processor.StreamEventsRequest{
		Cursor: cursor, Filter: options.Filter, View: options.View, HeartbeatSeconds: options.HeartbeatSeconds,
	})
	if err != nil {
		return err
	}
	for {
		watch.Reset(options.silence())
		step, err := stream.Recv()
		watch.Stop()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := work(read(step)); err != nil {
			return processed{err}
		}
	}
}

// read returns the position after a step, and its event unless it has none of a known kind.
func read(step *processor.StreamEventsResponse) (string, *processor.Event) {
	event := step.GetEvent()
	if event == nil {
		return step.GetHeartbeat().GetPosition(), nil
	}
	if event.GetKind() == nil {
		return event.GetPosition(), nil
	}
	return event.GetPosition(), event
}

func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
