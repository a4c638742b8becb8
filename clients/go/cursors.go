package mailmesh

import (
	"context"
	"errors"
	"os"
	"strings"
)

// CursorStore keeps the cursor of one follower. After a crash, it has the old or the new cursor.
type CursorStore interface {
	// Load returns the saved cursor, or "" when there is none.
	Load(ctx context.Context) (string, error)
	// Save replaces the saved cursor. It is safe to call again.
	Save(ctx context.Context, cursor string) error
}

// MemoryCursorStore keeps the cursor until the process ends.
type MemoryCursorStore struct{ Cursor string }

// Load returns the cursor.
func (s *MemoryCursorStore) Load(context.Context) (string, error) { return s.Cursor, nil }

// Save replaces the cursor.
func (s *MemoryCursorStore) Save(_ context.Context, cursor string) error {
	s.Cursor = cursor
	return nil
}

// FileCursorStore keeps the cursor in a file of one follower, which a crash leaves whole. Its folder exists.
type FileCursorStore struct{ Path string }

// Load returns the file's cursor, or "" when there is no file.
func (s FileCursorStore) Load(context.Context) (string, error) {
	cursor, err := os.ReadFile(s.Path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(cursor)), err
}

// Save puts a new file in the place of the old one, after its bytes are on disk.
func (s FileCursorStore) Save(_ context.Context, cursor string) error {
	file, err := os.Create(s.Path + ".new")
	if err != nil {
		return err
	}
	_, err = file.WriteString(cursor)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(s.Path+".new", s.Path)
}
