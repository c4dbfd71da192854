package spool

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// runMark is the mark of a spool that is open and writes to the disk.
type runMark struct {
	mu   sync.Mutex   // held while something is written
	note segment.Mark // its id does not change
	file File         // nil once closed
}

// markRun says that the entries of id from at on go to the disk. It comes after
// everything else that can fail before they do. It is not synced, since it
// counts for nothing after a reboot.
func markRun(fs FS, dir string, id ID, at segment.Point) (*runMark, error) {
	m := &runMark{note: segment.Mark{State: segment.MarkRunning, ID: id, At: at}}
	f, err := m.note.Write(fs, dir, false)
	if err != nil {
		return nil, err
	}
	m.file = f
	return m, nil
}

// synced notes that everything before at is on the disk. A mark that cannot be
// written is damaged or old, and so promises less.
func (m *runMark) synced(at segment.Point) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil && at.N > m.note.At.N {
		m.note.At = at
		m.file.WriteAt(m.note.Encode(), 0)
	}
}

// close ends it. It may have to wait for a disk that hangs.
func (m *runMark) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		m.file.Close()
		m.file = nil
	}
}

// markEnd says that the spool is closed and ends at that point.
func markEnd(fs FS, dir string, id ID, at segment.Point) error {
	m := segment.Mark{State: segment.MarkClean, ID: id, At: at}
	f, err := m.Write(fs, dir, true)
	if err != nil {
		return err
	}
	return f.Close()
}

// removeMark must have happened, durably, before anything is appended that is
// not where an old mark says.
func removeMark(fs FS, dir string) error {
	err := fs.Remove(filepath.Join(dir, segment.MarkName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
