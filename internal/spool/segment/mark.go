package segment

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// MarkName is the name of the mark, a file that says where the entries end, for
// whoever opens the directory next. What a live spool does with it, its doc.go
// says.
const MarkName = "end"

// MarkState is what the mark says.
type MarkState int

// The states of a mark.
const (
	// MarkNone: there is no sound mark. Entries may have been in memory only
	// when the process ended.
	MarkNone MarkState = iota
	// MarkRunning: every entry went to the disk; as long as the page cache
	// lives they end where the last segment does. Those up to the noted point
	// are synced.
	MarkRunning
	// MarkClean: the spool was closed, everything is synced, and ends at the
	// noted point.
	MarkClean
)

var markWords = [...]string{MarkRunning: "running", MarkClean: "closed"}

// Mark is what a mark says.
type Mark struct {
	State MarkState
	ID    ID    // of the spool
	At    Point // what is before is synced; of a closed spool its end
	Home  Home  // the directory that the mark was written in
	Born  int64 // of the mark itself, Unix nanoseconds; 0 where the file system does not know
}

// Home names a directory among those of this boot. A copy of it is another one,
// and so is one that was made anew in its place, but for a file system that
// gives the number of the old one again; Mark.Born tells these apart.
type Home struct{ Dev, Ino uint64 }

func homeOf(dir string) (h Home, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return h, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		h = Home{uint64(st.Dev), st.Ino} //nolint:unconvert // Dev has 32 bits on some architectures
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

func (m *Mark) Encode() []byte {
	b := fmt.Appendf(make([]byte, 0, maxMark), markFormat,
		markWords[m.State], uint64(m.ID), m.At.N, m.At.Seq, m.Home.Dev, m.Home.Ino, uint64(m.Born))
	return fmt.Appendf(b, " %08x\n", crc32.Checksum(b, castagnoli))
}

// ParseMark reads what encode writes. The state is markNone for anything else.
func ParseMark(b []byte) (m Mark) {
	i := strings.LastIndexByte(string(b), ' ')
	if i < 0 || string(b[i:]) != fmt.Sprintf(" %08x\n", crc32.Checksum(b[:i], castagnoli)) {
		return Mark{}
	}
	var word string
	var id, date uint64
	// The padding of the word is more than one blank where it is shorter.
	_, err := fmt.Sscanf(string(b[:i]), strings.Replace(markFormat, "%-7s", "%s", 1),
		&word, &id, &m.At.N, &m.At.Seq, &m.Home.Dev, &m.Home.Ino, &date)
	m.ID, m.Born = ID(id), int64(date)
	switch word {
	case markWords[MarkRunning]:
		m.State = MarkRunning
	case markWords[MarkClean]:
		m.State = MarkClean
	}
	if err != nil || m.State == MarkNone || m.At.Seq == 0 || m.At.Seq > m.At.N || string(m.Encode()) != string(b) {
		return Mark{}
	}
	return m
}

// ReadMark returns what the mark says, and whether it was written in this
// directory, as it is now. Of a copy that is not so.
func ReadMark(fs atomicfile.FS, dir string) (m Mark, ours bool) {
	path := filepath.Join(dir, MarkName)
	f, _, err := atomicfile.OpenRegular(fs, path)
	if err != nil {
		return Mark{}, false
	}
	defer f.Close()
	var b [maxMark]byte
	for range 3 { // it may be written over just now
		n, _ := f.ReadAt(b[:], 0) // a read that fails leaves a damaged mark too
		if m = ParseMark(b[:n]); m.State != MarkNone {
			break
		}
	}
	h, err := homeOf(dir)
	return m, err == nil && m.State != MarkNone && m.Home == h && m.Born == born(path)
}

// Write replaces the mark in dir, and returns its file, to be written over.
func (m *Mark) Write(fs atomicfile.FS, dir string, durable bool) (atomicfile.File, error) {
	r, err := atomicfile.Create(fs, filepath.Join(dir, MarkName), 0o600)
	if err != nil {
		return nil, err
	}
	if m.Home, err = homeOf(dir); err == nil {
		m.Born = born(filepath.Join(dir, MarkName+atomicfile.Suffix))
		_, err = r.WriteAt(m.Encode(), 0)
	}
	if err != nil {
		r.Discard()
		return nil, err
	}
	if err := r.Commit(durable); err != nil {
		return nil, err
	}
	return r.File, nil
}
