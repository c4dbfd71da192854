package spool

import (
	"errors"
	"os"
	"path/filepath"
)

// The mark is a file that says where the entries end, for the next Open. Its
// three states are those of doc.go.
const markName = "end"

// markState is what the mark says.
type markState int

const (
	// markNone: there is no sound mark. Entries may have been in memory only
	// when the process ended.
	markNone markState = iota
	// markRunning: the file is empty. Every entry went to the disk; as long
	// as the page cache lives they end where the last segment does.
	markRunning
	// markClean: the file holds the cursor of the last entry, as a cursor
	// file does. The spool was closed and everything is synced.
	markClean
)

func readMark(fs FS, dir string) (end Cursor, st markState) {
	f, err := fs.OpenFile(filepath.Join(dir, markName), os.O_RDONLY|distrust, 0)
	if err != nil {
		return end, markNone
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return end, markNone
	}
	if info.Size() == 0 {
		return end, markRunning
	}
	if end, err = readCursor(f); err != nil {
		return end, markNone
	}
	return end, markClean
}

// markRun says that entries go to the disk from now on. It comes after
// everything else that can fail before they do. It is not synced, since it
// counts for nothing after a reboot, and empty, since the disk may be full.
func markRun(fs FS, dir string) error {
	f, err := fs.OpenFile(filepath.Join(dir, markName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// markEnd says that the spool is closed and ends with c.
func markEnd(fs FS, dir string, c Cursor) error {
	return replaceFile(fs, filepath.Join(dir, markName), encodeCursor(c), true)
}

// removeMark must have happened, durably, before anything is appended that is
// not where an old mark says.
func removeMark(fs FS, dir string) error {
	err := fs.Remove(filepath.Join(dir, markName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
