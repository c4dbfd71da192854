package sinktest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// patience is how long a call may take until it counts as hanging.
const patience = 10 * time.Second

// Place is a sink and the far end it delivers to. Its functions are called from
// one goroutine at a time, but while the sink works.
type Place struct {
	// Sink is the sink under test. It was never open.
	Sink sink.Sink

	// Entries returns what has arrived so far, entry by entry, in the sink's
	// format, and an error if any of it is torn. See [Lines].
	Entries func() ([][]byte, error)

	// Entry makes the i-th entry; all must differ. Nil: lines of JSON.
	Entry func(i int) *sink.Entry

	// Break makes the far end fail until Repair is called. Nil: checks that
	// need it are skipped.
	Break, Repair func()

	// Hang makes the far end take nothing more, without an error, until Resume
	// is called. Nil: checks that need it are skipped.
	Hang, Resume func()

	// Most is how many entries are delivered in one go at most, for places where
	// each costs a process; 0 for 2000.
	Most int
}

// Run runs the suite, each check against a place of its own. It must not run
// in a parallel test, because it counts goroutines and descriptors.
func Run(t *testing.T, newPlace func(t testing.TB) *Place) {
	t.Helper()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			if c.needs != nil && !c.needs(p) {
				t.Skip("not for this sink: its place cannot be made to fail this way")
			}
			if err := c.try(p, patience); err != nil {
				t.Error(err)
			}
		})
	}
}

// Lines splits what a sink with a line format wrote into entries, each with its
// newline, and returns an error for a last one without.
func Lines(b []byte) ([][]byte, error) {
	lines := slices.Collect(bytes.Lines(b))
	if n := len(lines); n > 0 && !bytes.HasSuffix(lines[n-1], []byte("\n")) {
		return lines[:n-1], fmt.Errorf("torn at the end: %q", shorten(lines[n-1]))
	}
	return lines, nil
}

// line is the default Place.Entry. Lengths differ, so that entries do not fall
// on any boundary of a buffer.
func line(i int) *sink.Entry {
	path := fmt.Appendf(nil, "/usr/bin/tool-%d", i)
	return &sink.Entry{
		Event: &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Path: path},
		Bytes: fmt.Appendf(nil, `{"seq":%d,"path":"%s","pad":"%s"}`+"\n", i, path, bytes.Repeat([]byte("p"), i*7%311)),
	}
}

// verify complains unless entries 0 to n-1 have arrived, whole, in order, and
// nothing that was not written. Entries may be there again when a failure made
// the suite write them again, which begins with the oldest of them.
func (t *trial) verify(n int) error {
	deadline := time.Now().Add(t.patience)
	for {
		err := t.verifyOnce(n)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(time.Millisecond) // arrival has no event to wait for
	}
}

func (t *trial) verifyOnce(n int) error {
	got, err := t.place.Entries()
	if err != nil {
		return err
	}
	next, last := 0, -1 // the entries below next have arrived, last is the newest arrival
	for _, b := range got {
		i, ok := t.written[string(b)]
		switch {
		case !ok:
			return fmt.Errorf("arrived but was not written: %q", shorten(b))
		case i > last+1:
			return fmt.Errorf("entry %d arrived before entry %d", i, last+1)
		case i <= last && !t.failed:
			return fmt.Errorf("entry %d arrived again after entry %d, without a failure", i, last)
		}
		next, last = max(next, i+1), i
	}
	if next < n {
		return fmt.Errorf("%d of %d flushed entries arrived", next, n)
	}
	return nil
}

func shorten(b []byte) []byte { return b[:min(len(b), 120)] }

// errHangs is in the error of a call that did not return.
var errHangs = errors.New("does not return")
