package spool

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
)

// withAttachments appends events "1" to "n", behind each its number of
// attachments modulo 3.
func withAttachments(s *Spool, n int) {
	for i := 1; i <= n; i++ {
		at := s.Append([]Record{{Type: 1420, Time: int64(i), Data: fmt.Append(nil, i)}})
		for k := range i % 3 {
			r := Record{Type: 1300, Time: int64(i), Data: fmt.Appendf(nil, "%d/%d", i, k), Attachment: true}
			if k == 0 {
				r.Event = at
			}
			s.Append([]Record{r})
		}
	}
}

// all reads everything that next has: attachments as "SEQ<EVENT text".
func all(next func() (*Entry, error)) (list []string) {
	for {
		e, err := next()
		switch {
		case err == io.EOF:
			return list
		case err != nil:
			list = append(list, err.Error())
		case e.Attachment:
			list = append(list, fmt.Sprintf("%d<%d %s", e.Seq, e.Event, e.Data))
		default:
			list = append(list, fmt.Sprintf("%d %s", e.Seq, e.Data))
		}
	}
}

// try makes a function for all out of a reader of a spool that is open.
func try(r *Reader) func() (*Entry, error) {
	return func() (*Entry, error) {
		e, ok, err := r.TryNext()
		if err == nil && !ok {
			err = io.EOF
		}
		return e, err
	}
}

func TestAttachmentsTakeNoSequenceNumber(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, o)
		withAttachments(s, 5)
		if end := s.newest().Seq; end != 5 {
			t.Errorf("the newest event is %d, want 5", end)
		}
		if st := s.Stats(); st.Appended != 5 || st.Attached != 6 || st.Entries != 5 || st.Last != 5 {
			t.Errorf("got %+v", st)
		}
		if c := s.Append([]Record{{Data: []byte("x"), Attachment: true, Event: Cursor{ID: s.cur.id + 1, Seq: 1}}}); c.Seq != 5 {
			t.Errorf("Append of an attachment returned %v, want the newest event", c)
		}
		events := []string{"1 1", "2 2", "3 3", "4 4", "5 5"}
		whole := []string{"1 1", "1<1 1/0", "2 2", "2<2 2/0", "2<0 2/1", "3 3", "4 4", "4<4 4/0", "5 5", "5<5 5/0", "5<0 5/1", "5<0 x"}
		for _, tt := range []struct {
			name  string
			start Start
			want  []string
		}{
			{"events", Start{}, events},
			{"events behind one", Start{After: &Cursor{ID: s.cur.id, Seq: 2}}, events[2:]},
			{"everything", Start{Attachments: true}, whole},
			{"everything behind an event", Start{After: &Cursor{ID: s.cur.id, Seq: 1}, Attachments: true}, whole[1:]},
			{"everything behind the last event", Start{After: &Cursor{ID: s.cur.id, Seq: 5}, Attachments: true}, whole[9:]},
			{"everything since", Start{Since: time.Unix(0, 4), Attachments: true}, whole[6:]},
			{"the end", Start{End: true, Attachments: true}, nil},
		} {
			r := s.NewReader(tt.start)
			if diff := cmp.Diff(tt.want, all(try(r))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
			if lag := r.Lag(); lag != 0 {
				t.Errorf("%s: lag %d at the end", tt.name, lag)
			}
			r.Close()
		}
	})
}

// TestAttachmentWakesReaders wants one that waits behind the last event to get
// what comes for it later, and one that wants events only to go on waiting.
func TestAttachmentWakesReaders(t *testing.T) {
	s := mustOpen(t, Options{})
	with, without := s.NewReader(Start{Attachments: true}), s.NewReader(Start{})
	defer with.Close()
	defer without.Close()
	at := s.Append(text(1, 1))
	wantText(t, datas(t, with, 1), 1)
	wantText(t, datas(t, without, 1), 1)
	s.Append([]Record{{Data: []byte("who"), Attachment: true, Event: at}})
	if e, err := with.Next(t.Context()); err != nil || !e.Attachment || e.Event != 1 || e.Cursor() != at {
		t.Errorf("got %+v, %v", e, err)
	}
	if e, ok, err := without.TryNext(); ok || err != nil {
		t.Errorf("got %+v, %v", e, err)
	}
}

// TestDamagedAttachmentIsAGap damages the two attachments of event 5 and wants
// that told to those who want attachments, online and offline, and nobody else.
func TestDamagedAttachmentIsAGap(t *testing.T) {
	t.Parallel()
	o := small(t.TempDir())
	o.Memory = 1
	s := mustOpen(t, o)
	id := s.cur.id
	withAttachments(s, 7)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(o.Dir, segment.Name(1)), func(b []byte) []byte {
		at := frameAt(b, 5)
		at += segment.SizeOf(b[at:])
		b[at+segment.FrameHeaderSize+segment.ReferenceSize]++ // of the first
		b[at+segment.SizeOf(b[at:])+30]++                     // of the second
		return b
	})
	whole := []string{
		"1 1", "1<1 1/0", "2 2", "2<2 2/0", "2<0 2/1", "3 3", "4 4", "4<4 4/0", "5 5",
		fmt.Sprintf("2 attachments before %v:6 missing: damaged on disk", id), "6 6", "7 7", "7<7 7/0",
	}
	events := []string{"1 1", "2 2", "3 3", "4 4", "5 5", "6 6", "7 7"}
	for _, attachments := range []bool{false, true} {
		want := events
		if attachments {
			want = whole
		}
		off, err := segment.OpenOffline(o.Dir, o.BootID, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		off.Attachments = attachments
		if diff := cmp.Diff(want, all(off.Next)); diff != "" {
			t.Errorf("offline (-want +got):\n%s", diff)
		}
		off.Close()
		s := mustOpen(t, o)
		r := s.NewReader(Start{Attachments: attachments})
		if diff := cmp.Diff(want, all(try(r))); diff != "" {
			t.Errorf("reader (-want +got):\n%s", diff)
		}
		r.Close()
		s.Close()
	}
}

// TestOverwrittenAttachmentsAreCounted lets a reader stand while everything that
// it was to get is given up.
func TestOverwrittenAttachmentsAreCounted(t *testing.T) {
	inBothForms(t, func(t *testing.T, o Options) {
		s := mustOpen(t, o)
		r := s.NewReader(Start{Attachments: true})
		defer r.Close()
		withAttachments(s, 3000)
		_, err := r.Next(t.Context())
		var gap *GapError
		if !errors.As(err, &gap) || gap.First != 1 || !gap.Known || gap.Err != nil {
			t.Fatalf("got %v, want a gap from the first entry on", err)
		}
		// Of three events one has an attachment, and one has two.
		if want := gap.Count; gap.Attachments < want-2 || gap.Attachments > want+2 || gap.Last != gap.Count {
			t.Errorf("got %+v, want as many attachments as events", gap)
		}
		if e, err := r.Next(t.Context()); err != nil || !e.Attachment && e.Seq != gap.Last+1 || e.Attachment && e.Seq != gap.Last {
			t.Errorf("got %+v, %v behind %d", e, err, gap.Last)
		}
	})
}

// TestLongAttachmentIsCut wants the bound to be that of the data.
func TestLongAttachmentIsCut(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, Options{Dir: t.TempDir(), BootID: boot(1), Memory: 1})
	s.Append([]Record{{Data: make([]byte, MaxData+1), Attachment: true}, {Data: []byte("behind")}})
	r := s.NewReader(Start{Attachments: true})
	defer r.Close()
	if e, err := r.Next(t.Context()); err != nil || len(e.Data) != MaxData || !e.Attachment {
		t.Errorf("got %d bytes, %v", len(e.Data), err)
	}
	if e, err := r.Next(t.Context()); err != nil || string(e.Data) != "behind" || e.Seq != 1 {
		t.Errorf("got %+v, %v", e, err)
	}
	if st := s.Stats(); st.Cut != 1 {
		t.Errorf("%d cut, want 1", st.Cut)
	}
}
