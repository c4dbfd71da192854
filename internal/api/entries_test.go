package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// told returns what a stream of entries says, a line each, and the error that
// ended it.
func told(e *Entries) (lines []string, err error) {
	defer e.Close()
	for {
		en, err := e.Next()
		var gap *spool.GapError
		switch {
		case errors.As(err, &gap):
			lines = append(lines, gap.Error())
		case err != nil:
			return lines, err
		default:
			line := fmt.Sprintf("%v type %d context %d at %d boot %x: %s", en.Cursor(), en.Type, en.Context, en.Time, en.BootID[:2], en.Data)
			if en.Attachment {
				line = fmt.Sprintf("to %d: %s", en.Event, en.Data)
			}
			if p := e.Policy(en.Context); p != nil {
				line += fmt.Sprintf(" by %s %q %v on %s", p.Name, p.Version, p.Digest == nil, e.Host())
			}
			lines = append(lines, line)
		}
	}
}

func (w *world) entries(query string) *Entries {
	w.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := NewClient(w.path).Entries(w.t.Context(), values)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func TestStreamOfEntriesHasAllOfThem(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *Options, _ *timeouts) {
		o.Policy = func(context uint16) *ipe.Policy {
			if context != 3 {
				return nil
			}
			return &ipe.Policy{Name: []byte("lab"), Version: []byte{}}
		}
	})
	judged := denial(1)
	judged.Context = 3
	unknown := denial(2)
	unknown.Context = 4
	large := spool.Record{Type: 1420, Time: time.Now().UnixNano(), Data: bytes.Repeat([]byte("x"), 200<<10)}
	foreign := spool.Record{Type: 1300, Time: time.Now().UnixNano(), Data: []byte("arch=c000003e")}
	list := []spool.Record{judged, unknown, large, foreign, judged}
	end := w.spool.Append(list)
	var want []string
	for i, r := range list {
		line := fmt.Sprintf("%v type %d context %d at %d boot 0000: %s", spool.Cursor{ID: end.ID, Seq: uint64(i + 1)}, r.Type, r.Context, r.Time, r.Data)
		if r.Context == 3 {
			line += ` by lab "" true on box`
		}
		want = append(want, line)
	}
	for query, want := range map[string][]string{
		"":                                want,
		"after=" + end.ID.String() + ":4": want[4:],
		"last=2":                          want[1:], // from the last but one on that is an event
		"events=access&not.paths=/tmp/2":  {want[0], want[4]},
		"since=1h":                        want,
		"last=0":                          nil,
	} {
		e := w.entries(query)
		got, err := told(e)
		if diff := cmp.Diff(want, got); diff != "" || err != io.EOF {
			t.Errorf("%s: %v (-want +got):\n%.2000s", query, err, diff)
		}
		if e.End() != end {
			t.Errorf("%s: it ends at %v, want %v", query, e.End(), end)
		}
	}
}

func TestStreamOfEntriesHasAttachments(t *testing.T) {
	t.Parallel()
	w := start(t)
	end := w.spool.Append(denials(1, 2))
	w.spool.Append([]spool.Record{{Type: 1300, Attachment: true, Event: spool.Cursor{ID: end.ID, Seq: 1}, Data: []byte("who did 1")}})
	w.spool.Append([]spool.Record{{Type: 1300, Attachment: true, Event: end, Data: []byte("who did 2")}})
	for query, want := range map[string][]string{
		"":             {"to 1: who did 1", "to 2: who did 2"},
		"paths=/tmp/2": {"to 2: who did 2"}, // and not what belongs to other events
	} {
		got, err := told(w.entries(query))
		if err != io.EOF || len(got) <= len(want) {
			t.Fatalf("%s: %v, %q", query, err, got)
		}
		if diff := cmp.Diff(want, got[len(got)-len(want):]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	if got := w.events(""); len(got) != 2 {
		t.Errorf("%d lines, want those of the events only", len(got))
	}
}

func TestStreamOfEntriesTellsGaps(t *testing.T) {
	t.Parallel()
	w := start(t)
	var end spool.Cursor
	for range 4 { // 1 MiB is kept
		end = w.spool.Append([]spool.Record{{Type: 1300, Data: bytes.Repeat([]byte("x"), 400<<10)}})
	}
	got, err := told(w.entries("after=" + end.ID.String() + ":0"))
	want := fmt.Sprintf("%d entries from %v:1 to %d missing: overwritten", 4-(len(got)-1), end.ID, 4-(len(got)-1))
	if err != io.EOF || len(got) < 2 || got[0] != want {
		t.Errorf("%v: %d lines, the first is %.100s, want %s", err, len(got), got[0], want)
	}
	got, err = told(w.entries("after=00000000000000aa:7"))
	if err != io.EOF || len(got) < 2 || got[0] != "entries from 00000000000000aa:8 on missing, how many is not known: "+goneReason(got[0]) {
		t.Errorf("%v: %.200s", err, got)
	}
}

// goneReason returns what stands behind the last colon.
func goneReason(line string) string {
	return line[bytes.LastIndexByte([]byte(line), ':')+2:]
}

func TestStreamOfEntriesFollows(t *testing.T) {
	t.Parallel()
	w := start(t)
	e := w.entries("follow=true&last=0")
	defer e.Close()
	w.spool.Append(denials(1, 1))
	if en, err := e.Next(); err != nil || en.Seq != 1 {
		t.Fatalf("got %+v, %v", en, err)
	}
	w.spool.Append(denials(2, 1))
	w.spool.Close()
	go w.Close()
	if en, err := e.Next(); err != nil || en.Seq != 2 {
		t.Fatalf("got %+v, %v", en, err)
	}
	if _, err := e.Next(); err != io.EOF {
		t.Errorf("a daemon that stops ends the stream with %v", err)
	}
}

// stream returns one of each frame.
func sampleStream() []byte {
	f := frames{policy: func(uint16) *ipe.Policy { return &ipe.Policy{Name: []byte("lab"), Digest: []byte("sha256:ab")} }}
	b := f.appendHeader(nil, []byte("box"))
	e := spool.Entry{ID: 0xab, Seq: 1, Time: time.Unix(1795440701, 0).UnixNano(), BootID: [16]byte{1}, Type: 1420, Context: 3, Data: []byte("a record")}
	b = f.appendEntry(b, &e)
	b = appendGap(b, &spool.GapError{ID: 0xab, First: 2, Last: 3, Count: 2, Known: true, Err: spool.ErrDamaged})
	b = appendGap(b, &spool.GapError{ID: 0xab, First: 4})
	e.Seq = 5
	b = appendGap(b, &spool.GapError{ID: 0xab, First: 5, Last: 4, Known: true, Attachments: 2})
	at := spool.Entry{ID: 0xab, Seq: 4, BootID: e.BootID, Type: 1300, Attachment: true, Event: 1, Data: []byte("who")}
	b = f.appendEntry(b, &at)
	return appendEnd(f.appendEntry(b, &e), e.Cursor())
}

// TestStreamOfEntriesThatIsCutIsAnError cuts a stream behind each byte, and
// changes what must not be.
func TestStreamOfEntriesThatIsCutIsAnError(t *testing.T) {
	t.Parallel()
	whole := sampleStream()
	read := func(b []byte) error {
		_, err := told(newEntries(io.NopCloser(bytes.NewReader(b))))
		return err
	}
	if err := read(whole); err != io.EOF {
		t.Fatalf("whole: %v", err)
	}
	for n := range whole {
		if err := read(whole[:n]); err != io.ErrUnexpectedEOF {
			t.Errorf("cut behind %d of %d bytes: %v", n, len(whole), err)
		}
	}
	change := func(at int, b byte) []byte {
		c := bytes.Clone(whole)
		c[at] = b
		return c
	}
	for name, b := range map[string][]byte{
		"another form":          change(0, 'X'),
		"a later version":       change(8, 2),
		"an unknown kind":       change(streamHeader+4, 99),
		"a frame without end":   change(streamHeader+3, 0x7f),
		"something behind it":   append(bytes.Clone(whole), 0),
		"an entry of no spool":  append(bytes.Clone(whole[:streamHeader]), appendFrame(nil, frameEntry, 0)...),
		"an entry that is torn": append(bytes.Clone(whole[:streamHeader]), "\x03\x00\x00\x00\x04abc"...),
	} {
		if err := read(b); !errors.Is(err, ErrStream) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreamOfEntriesIsBinary(t *testing.T) {
	t.Parallel()
	w := start(t)
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://x/events?format=spool", nil)
	if got := w.request(r).Header.Get("Content-Type"); got != "application/octet-stream" {
		t.Errorf("Content-Type %q", got)
	}
}

// FuzzEntries reads any bytes: it ends, and says io.EOF only where the end says so.
func FuzzEntries(f *testing.F) {
	f.Add(sampleStream())
	f.Add(append(sampleStream()[:streamHeader], "\xff\xff\x10\x00\x04"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e := newEntries(io.NopCloser(bytes.NewReader(b)))
		_, err := told(e)
		switch {
		case err == io.EOF:
			if tail := appendEnd(nil, e.End()); !bytes.HasSuffix(b, tail) {
				t.Errorf("no end, and no error: %x", b)
			}
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, ErrStream):
		default:
			t.Errorf("%v", err)
		}
		if _, again := e.Next(); !errors.Is(again, err) {
			t.Errorf("%v after %v", again, err)
		}
	})
}
