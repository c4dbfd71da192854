package spool

import (
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// writer does the writing to the disk for one epoch, in a goroutine of its
// own, so that a write that does not return can be left behind. The appender
// hands it one job after the other and waits for each.
type writer struct {
	fs   FS
	dir  string
	jobs chan job
	done chan error // buffered: answering never blocks
	gone chan struct{}

	state atomic.Int32 // of the job: who changes it from busy owns what follows

	// Owned by the goroutine while it has a job, else by the appender.
	file File
}

const (
	writerIdle int32 = iota
	writerBusy
	writerAbandoned
)

// job is one write. The bytes are not changed before the writer is gone: they
// lie in a chunk, beyond what is published of it.
type job struct {
	p      []byte
	off    int64           // where in the file
	header *segment.Header // not nil: into a new segment
	remove []string        // files to remove before
}

func startWriter(fs FS, dir string, f File) *writer {
	w := &writer{
		fs: fs, dir: dir, file: f,
		jobs: make(chan job, 1), done: make(chan error, 1), gone: make(chan struct{}),
	}
	go w.run()
	return w
}

// looks is how often an append looks whether the writer is back within
// Options.StallTimeout.
const looks = 20

// patience is how long an append waits for the disk. It is counted in looks and
// not by the clock: where this process does not run, because it is starved of the
// processor, is stopped, or the machine is, a look comes late, but counts as one.
// Else a write that is long done would look like a disk that hangs, since neither
// the writer nor the append had a moment to say so.
type patience struct {
	looks int // that are left
	step  time.Duration
}

func (s *Spool) newPatience() patience { return patience{looks, s.opts.StallTimeout / looks} }

// rest returns how long may be waited still.
func (p *patience) rest() time.Duration { return time.Duration(p.looks) * p.step }

// do has the job done, or returns ErrStalled once the patience is over. After an
// error the writer is of no use any more: it cleans up behind itself, whenever
// it can, and ends.
func (w *writer) do(j job, timer *time.Timer, p *patience) error {
	w.state.Store(writerBusy)
	w.jobs <- j
	// Mostly it is done as soon as the writer has run, which it does next. Without
	// the timer nobody is woken later for its sake, and without parking nobody now.
	runtime.Gosched()
	select {
	case err := <-w.done:
		return err
	default:
	}
	for timer.Reset(p.step); ; timer.Reset(p.step) {
		select {
		case err := <-w.done:
			timer.Stop()
			return err
		case <-timer.C:
		}
		if p.looks--; p.looks > 0 {
			continue
		}
		p.looks = 0
		if w.state.CompareAndSwap(writerBusy, writerAbandoned) {
			return ErrStalled
		}
		return <-w.done // it came back at the last moment
	}
}

// end lets the writer end once it has nothing to do.
func (w *writer) end() { close(w.jobs) }

func (w *writer) isGone() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

func (w *writer) run() {
	defer close(w.gone)
	for j := range w.jobs {
		old := w.file
		err := w.write(j)
		// Losing this race means that the appender has given up waiting, and
		// the records are kept elsewhere under another id.
		lost := !w.state.CompareAndSwap(writerBusy, writerIdle)
		if err != nil || lost {
			f := w.file
			if !lost {
				w.done <- err
			}
			w.undo(j, old, f)
			return
		}
		w.done <- nil
	}
	if w.file != nil {
		w.file.Sync() // again, for the case that nobody did after the last write
		w.file.Close()
	}
}

func (w *writer) write(j job) error {
	if j.header != nil {
		for _, name := range j.remove {
			if err := w.fs.Remove(filepath.Join(w.dir, name)); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		f, err := createSegment(w.fs, w.dir, j.header)
		if err != nil {
			return err
		}
		w.file = f
	}
	_, err := w.file.WriteAt(j.p, j.off)
	return err
}

// undo takes back what the failed job may have left in the file: the same
// records are kept under another id. Everything before stays and is synced.
func (w *writer) undo(j job, old, f File) {
	if f != nil && f != old {
		f.Close()
		w.fs.Remove(filepath.Join(w.dir, segment.Name(j.header.Ordinal)))
	} else if f != nil && j.header == nil {
		f.Truncate(j.off)
	}
	if old != nil {
		old.Sync()
		old.Close()
	}
}

// createSegment makes a new segment file, which gets its name when it has its
// header: one that is shorter than that was damaged. On failure nothing
// stays behind, as far as possible.
func createSegment(fs FS, dir string, h *segment.Header) (File, error) {
	r, err := atomicfile.Create(fs, filepath.Join(dir, segment.Name(h.Ordinal)), 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := r.WriteAt(h.Encode(), 0); err != nil {
		r.Discard()
		return nil, err
	}
	if err := r.Commit(false); err != nil {
		return nil, err
	}
	return r.File, nil
}
