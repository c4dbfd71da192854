package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// DefaultMode is the mode of files when none is given.
const DefaultMode os.FileMode = 0o640

// maxBuffer is how many bytes are collected before they are written without
// being asked to. The runner's batches are not larger.
const maxBuffer = 256 << 10

// Sink appends entries to a file.
type Sink struct {
	// Set by New.
	path, name string // whole, and within the directory
	mode       os.FileMode
	gid        int // -1: the process's own
	sync       bool
	rotation   RotateConfig

	// report is told of troubles that do not stop delivery: a file that could
	// not be rotated, compressed or removed. It is called from several
	// goroutines and must not block.
	report func(error)

	reopen atomic.Bool // asked for by Reopen, not yet done

	mu      sync.Mutex
	file    *os.File // nil when not open
	id      fileID   // of file
	flushed int64    // size of file after the last Flush
	written int64    // size of file now; what is beyond flushed is not promised yet
	born    time.Time
	buf     []byte // entries that are not in the file yet

	tidier     tidier
	nextRotate time.Time // no attempt before, after one that failed
}

// fileID tells files apart.
type fileID struct{ dev, ino uint64 }

var _ sink.Sink = (*Sink)(nil)

// New returns a sink, not open. It only looks up the group.
func New(c *Config) (*Sink, error) {
	s := &Sink{path: filepath.Clean(c.Path), name: filepath.Base(c.Path), mode: c.Mode, gid: -1,
		sync: c.Sync, report: func(error) {}}
	if s.mode == 0 {
		s.mode = DefaultMode
	}
	if c.Rotate != nil {
		s.rotation = *c.Rotate
	}
	switch {
	case !filepath.IsAbs(c.Path) || s.path == "/":
		return nil, fmt.Errorf("path %q: want an absolute one of a file", c.Path)
	case s.mode&^os.ModePerm != 0 || s.mode&0o200 == 0:
		return nil, fmt.Errorf("mode %#o: want permission bits, with writing for the owner", uint32(s.mode))
	}
	if err := s.rotation.check(); err != nil {
		return nil, err
	}
	if c.Group != "" {
		number := c.Group
		if g, err := user.LookupGroup(c.Group); err == nil {
			number = g.Gid
		}
		gid, err := strconv.ParseUint(number, 10, 31) // a group need not have a name
		if err != nil {
			return nil, fmt.Errorf("group %q: no such group", c.Group)
		}
		s.gid = int(gid)
	}
	return s, nil
}

// Open opens the file, creates it if need be, and repairs its end.
func (s *Sink) Open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	s.tidier.start(s)
	return nil
}

// open opens the file anew. The one that was open is closed if that succeeds.
func (s *Sink) open() error {
	s.reopen.Store(false)
	d, err := openDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer d.close()
	f, created, err := d.open(s.name, s.mode, s.gid)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	size := st.Size
	if err == nil {
		size, err = repair(f, size)
	}
	if err == nil && created && s.sync {
		err = syncDir(d)
	}
	if err != nil {
		f.Close()
		return d.error("open", s.name, err)
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file = f
	s.id = identify(&st)
	s.flushed, s.written = size, size
	s.born = birth(f)
	return nil
}

func identify(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }

// birth returns when f was created, or the present on file systems that do not
// say.
func birth(f *os.File) time.Time {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return time.Now()
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec))
}

// Write collects the entry, and writes once much has come together.
func (s *Sink) Write(ctx context.Context, e *sink.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return os.ErrClosed
	}
	if s.fills(len(e.Bytes)) {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	s.buf = append(s.buf, e.Bytes...)
	if len(s.buf) < maxBuffer {
		return nil
	}
	return s.writeOut(ctx)
}

// Flush writes what was collected and, if asked to, waits until it is on the
// disk. When it fails, the file is as the last successful Flush left it, or
// becomes so with the next Open.
func (s *Sink) Flush(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return os.ErrClosed
	}
	return s.commit(ctx)
}

// fills reports whether the file would become too large with what was collected
// and more bytes, so that those belong into the next one.
func (s *Sink) fills(more int) bool {
	size := s.written + int64(len(s.buf))
	return s.rotation.Size > 0 && size > s.flushed && size+int64(more) > int64(s.rotation.Size) &&
		!time.Now().Before(s.nextRotate)
}

// commit writes what was collected and makes it last. Only then another file may
// take the place of this one, so it also comes between two flushes when this one is
// full; if the batch then fails, the runner writes again what is here already.
func (s *Sink) commit(ctx context.Context) error {
	if err := s.writeOut(ctx); err != nil {
		return err
	}
	if s.sync && s.written != s.flushed {
		if err := unix.Fdatasync(int(s.file.Fd())); err != nil {
			return &os.PathError{Op: "sync", Path: s.path, Err: err}
		}
	}
	s.flushed = s.written
	return nil
}

// writeOut writes what was collected, with one call.
func (s *Sink) writeOut(ctx context.Context) error {
	if len(s.buf) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.written == s.flushed {
		if err := s.chooseFile(); err != nil {
			return err
		}
	}
	n, err := s.file.Write(s.buf)
	s.written += int64(n)
	s.buf = s.buf[:0]
	if err != nil {
		s.undo()
	}
	return err
}

// chooseFile opens the file anew if that was asked for or if another one is in
// its place, and rotates it if it is time. It is called when everything that was
// written has been committed.
func (s *Sink) chooseFile() error {
	var st unix.Stat_t
	err := unix.Lstat(s.path, &st)
	switch {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return &os.PathError{Op: "stat", Path: s.path, Err: err}
	case err != nil || s.id != identify(&st) || s.reopen.Load():
		if err := s.open(); err != nil {
			return err
		}
	default:
		s.flushed, s.written = st.Size, st.Size // somebody may have truncated it
	}
	now := time.Now()
	if s.written == 0 {
		s.born = now
	}
	if s.rotation.due(s.written, int64(len(s.buf)), now.Sub(s.born)) && !now.Before(s.nextRotate) {
		return s.rotate(now)
	}
	return nil
}

// undo takes back what was written since the last Flush: the runner writes it
// again. If the file is not as we know it, only its end is repaired. If even
// that fails, Open repairs it.
func (s *Sink) undo() {
	st, err := s.file.Stat()
	switch {
	case err != nil:
	case st.Size() == s.written && s.file.Truncate(s.flushed) == nil:
		s.written = s.flushed
	default:
		repair(s.file, st.Size())
	}
}

// Reopen makes the sink open its file by name again, as after an outside
// rotation. It may be called from any goroutine and does not block: while a
// write is under way, the file is opened before the next one.
func (s *Sink) Reopen() {
	s.reopen.Store(true)
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if s.file != nil && s.written == s.flushed {
		if err := s.open(); err != nil {
			s.reopen.Store(true) // the next flush tries again and returns the error
		}
	}
}

// Close closes the file and drops what was not flushed. It waits for a write
// that is under way: the kernel cannot call off one to a file.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = s.buf[:0]
	s.tidier.stop()
	if s.file == nil {
		return nil
	}
	if s.written != s.flushed {
		s.undo()
	}
	err := s.file.Close()
	s.file = nil
	return err
}
