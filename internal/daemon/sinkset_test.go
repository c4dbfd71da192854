package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// TestACursorThatCannotBeKeptIsSaidOnce takes the state directory away and puts
// it back.
func TestACursorThatCannotBeKeptIsSaidOnce(t *testing.T) {
	t.Parallel()
	core, said := observer.New(zap.InfoLevel)
	state := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(state, cursorsDir)
	f := &cursorFile{dir: dir, file: spool.NewCursorFile(dir, "a"), log: zap.New(core)}
	defer f.file.Close()
	for range 3 {
		if f.save(spool.Cursor{ID: 1, Seq: 1}) == nil {
			t.Fatal("saved without a state directory")
		}
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	want := spool.Cursor{ID: 1, Seq: 2}
	if err := f.save(want); err != nil {
		t.Fatalf("the folder was not made again: %v", err)
	}
	if got, err := spool.LoadCursor(f.dir, "a"); err != nil || got != want {
		t.Errorf("kept %v, %v", got, err)
	}
	if lines := said.All(); len(lines) != 2 || lines[0].Level != zap.ErrorLevel || lines[1].Level != zap.InfoLevel {
		t.Errorf("said %v, want one error, and that it is over", lines)
	}
}
