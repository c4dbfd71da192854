package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
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
	// markRunning: every entry went to the disk; as long as the page cache
	// lives they end where the last segment does. Those up to the noted point
	// are synced.
	markRunning
	// markClean: the spool was closed, everything is synced, and ends at the
	// noted point.
	markClean
)

var markWords = [...]string{markRunning: "running", markClean: "closed"}

// note is what a mark says.
type note struct {
	state markState
	id    ID
	at    point
	home  home
	born  int64 // of the mark itself, Unix nanoseconds; 0 where the file system does not know
}

// home names a directory among those of this boot. A copy of it is another one,
// and so is one that was made anew in its place, but for a file system that
// gives the number of the old one again; note.born tells these apart.
type home struct{ dev, ino uint64 }

func homeOf(dir string) (h home, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return h, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		h = home{uint64(st.Dev), st.Ino} //nolint:unconvert // Dev has 32 bits on some architectures
	}
	return h, nil
}

// born returns when a file was made, which nobody can set: a file that was
// copied or unpacked was made then. 0 where the file system does not say.
func born(path string) int64 {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st) != nil || st.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// A mark is one line of text, always equally long, so that one can be written
// over another, with the CRC-32C of what is before it.
const markFormat = "%-7s %016x n=%020d seq=%020d dev=%016x ino=%016x born=%020d"

const maxMark = 256 // bytes; a mark is never as long

func (m *note) encode() []byte {
	b := fmt.Appendf(make([]byte, 0, maxMark), markFormat,
		markWords[m.state], uint64(m.id), m.at.n, m.at.seq, m.home.dev, m.home.ino, uint64(m.born))
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b, castagnoli))
}

// parseMark reads what encode writes. The state is markNone for anything else.
func parseMark(b []byte) (m note) {
	i := strings.LastIndexByte(string(b), ' ')
	if i < 0 || string(b[i:]) != fmt.Sprintf(" %08x\n", crc32.Checksum(b[:i], castagnoli)) {
		return note{}
	}
	var word string
	var id, date uint64
	// The padding of the word is more than one blank where it is shorter.
	_, err := fmt.Sscanf(string(b[:i]), strings.Replace(markFormat, "%-7s", "%s", 1),
		&word, &id, &m.at.n, &m.at.seq, &m.home.dev, &m.home.ino, &date)
	m.id, m.born = ID(id), int64(date)
	switch word {
	case markWords[markRunning]:
		m.state = markRunning
	case markWords[markClean]:
		m.state = markClean
	}
	if err != nil || m.state == markNone || m.at.seq == 0 || m.at.seq > m.at.n || string(m.encode()) != string(b) {
		return note{}
	}
	return m
}

// readMark returns what the mark says, and whether it was written in this
// directory, as it is now. Of a copy that is not so.
func readMark(fs FS, dir string) (m note, ours bool) {
	path := filepath.Join(dir, markName)
	f, err := fs.OpenFile(path, os.O_RDONLY|distrust, 0)
	if err != nil {
		return note{}, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return note{}, false
	}
	var b [maxMark]byte
	for range 3 { // it may be written over just now
		n, _ := f.ReadAt(b[:], 0) // a read that fails leaves a damaged mark too
		if m = parseMark(b[:n]); m.state != markNone {
			break
		}
	}
	h, err := homeOf(dir)
	return m, err == nil && m.state != markNone && m.home == h && m.born == born(path)
}

// writeMark replaces the mark and returns its file.
func writeMark(fs FS, dir string, m *note, durable bool) (File, error) {
	path := filepath.Join(dir, markName)
	temp := path + tempSuffix
	fs.Remove(temp) // whatever was left there
	f, err := fs.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL|distrust, 0o600)
	if err != nil {
		return nil, err
	}
	if m.home, err = homeOf(dir); err == nil {
		m.born = born(temp)
		_, err = f.WriteAt(m.encode(), 0)
	}
	if err == nil && durable {
		err = f.Sync()
	}
	if err == nil {
		err = fs.Rename(temp, path)
	}
	if err == nil && durable {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		f.Close()
		fs.Remove(temp)
		return nil, err
	}
	return f, nil
}

// runMark is the mark of a spool that is open and writes to the disk.
type runMark struct {
	mu   sync.Mutex // held while something is written
	note note       // its id does not change
	file File       // nil once closed
}

// markRun says that the entries of id from at on go to the disk. It comes after
// everything else that can fail before they do. It is not synced, since it
// counts for nothing after a reboot.
func markRun(fs FS, dir string, id ID, at point) (*runMark, error) {
	m := &runMark{note: note{state: markRunning, id: id, at: at}}
	f, err := writeMark(fs, dir, &m.note, false)
	if err != nil {
		return nil, err
	}
	m.file = f
	return m, nil
}

// synced notes that everything before at is on the disk. A mark that cannot be
// written is damaged or old, and so promises less.
func (m *runMark) synced(at point) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil && at.n > m.note.at.n {
		m.note.at = at
		m.file.WriteAt(m.note.encode(), 0)
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
func markEnd(fs FS, dir string, id ID, at point) error {
	f, err := writeMark(fs, dir, &note{state: markClean, id: id, at: at}, true)
	if err != nil {
		return err
	}
	return f.Close()
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
