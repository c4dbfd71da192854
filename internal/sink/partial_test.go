package sink

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// numbered formats what an event says of its place and host.
func numbered(dst []byte, _ *ipe.Event, c *format.Context) []byte {
	if !c.Partial {
		return fmt.Appendf(dst, "%d %s", c.Seq, c.Host)
	}
	return fmt.Appendf(dst, "%d behind %d", c.Seq, c.PrevSeq)
}

// TestPartialSinkSaysWhatItWasGivenBefore also after a flush that failed.
func TestPartialSinkSaysWhatItWasGivenBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		allowed, err := match.Compile([]match.Selection{{Verdicts: []string{"allowed"}}})
		if err != nil {
			t.Fatal(err)
		}
		failures := 2
		m := &memory{onFlush: func(context.Context) error {
			if failures > 0 {
				failures--
				return errFake
			}
			return nil
		}}
		l := newLog(35)
		l.close()
		c := config(l, m)
		c.Match, c.Format = allowed, numbered
		if err := New(c).Run(t.Context()); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, []string{"10 behind 0", "20 behind 10", "30 behind 20"}) {
			t.Errorf("got %q", got)
		}
	})
}

func TestHostIsAskedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		name := []byte("old")
		l, m := newLog(1), &memory{}
		c := config(l, m)
		c.Format, c.Host = numbered, func() []byte { return name }
		wait := start(t.Context(), New(c))
		synctest.Wait()
		name = []byte("new")
		l.append(1)
		l.close()
		if err := wait(); err != nil {
			t.Error(err)
		}
		if got := m.got(); !slices.Equal(got, []string{"1 old", "2 new"}) {
			t.Errorf("got %q", got)
		}
	})
}
