package eventsource

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const capture = "../../test/captures/6.12/off-04-permissive.nlcap"

// lines reads a history: a line for each event, and for each error.
func lines(t *testing.T, h *Stream) (list []string) {
	t.Helper()
	defer h.Close()
	for {
		ev, err := h.Next()
		switch {
		case err == io.EOF:
			return list
		case err != nil:
			list = append(list, err.Error())
		default:
			list = append(list, string(format.AppendJSON(nil, &ev.Event, &format.Context{Identity: format.Identity{Spool: uint64(ev.At.ID), Seq: ev.At.Seq}})))
		}
	}
}

func mustOpen(t *testing.T, o Options) *Stream {
	t.Helper()
	h, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func put(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zip(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	return z.Bytes()
}

// running returns a spool on disk that is open, and its directory.
func running(t *testing.T) (*spool.Spool, string) {
	t.Helper()
	boot, err := bootid.Current()
	if err != nil {
		t.Skipf("needs the id of the boot: %v", err)
	}
	dir := t.TempDir()
	s, err := spool.Open(spool.Options{Dir: dir, BootID: boot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

// recordsOf returns the records of the capture that are events.
func recordsOf(t *testing.T) (list []spool.Record) {
	f, err := os.Open(capture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records := NewRecords(f)
	for {
		var ev ipe.Event
		var id format.Identity
		if records.Next(&ev, &id) != nil {
			return list
		}
		list = append(list, spool.Record{Type: ev.Type, Time: time.Now().UnixNano(), Data: bytes.Clone(ev.Raw)})
	}
}

// TestSourcesSayTheSame reads the same events from every kind of source.
func TestSourcesSayTheSame(t *testing.T) {
	t.Parallel()
	want := lines(t, mustOpen(t, Options{Names: []string{capture}}))
	if len(want) < 10 {
		t.Fatalf("%d events: the test tests nothing", len(want))
	}
	s, dir := running(t)
	id := s.End().ID
	records := recordsOf(t)
	var identified []string
	for i, line := range want {
		s.Append([]spool.Record{records[i]})
		identified = append(identified, fmt.Sprintf(`{"spool":"%v","seq":%d,%s`, id, i+1, line[1:]))
	}
	jsonFile := []byte(strings.Join(identified, ""))
	plain := []byte(strings.Join(want, ""))

	socket := filepath.Join(t.TempDir(), "api.sock")
	server, err := api.Listen(api.Options{Path: socket, Mode: 0o600, Spool: s, Status: func() api.Status { return api.Status{} }})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	defer func() {
		s.Close()
		server.Close()
		<-served
	}()

	tests := []struct {
		name    string
		options Options
		want    []string
	}{
		{"stdin", Options{Names: []string{"-"}, Stdin: bytes.NewReader(plain)}, want},
		{"JSON lines", Options{Names: []string{put(t, "events.json", plain)}}, want},
		{"JSON lines of a sink", Options{Names: []string{put(t, "events.json", jsonFile)}}, identified},
		{"compressed", Options{Names: []string{put(t, "events.json.gz", zip(jsonFile))}}, identified},
		{"the same events again", Options{Names: []string{put(t, "events.json", append(jsonFile, jsonFile...))}}, identified},
		{"the daemon", Options{Socket: socket}, identified},
		{"its spool", Options{Names: []string{dir}}, identified},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, lines(t, mustOpen(t, tt.options))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}

	behind := lines(t, mustOpen(t, Options{Socket: socket, After: &spool.Cursor{ID: id, Seq: 4}}))
	if len(behind) != len(want)-4 || !strings.HasPrefix(behind[0], fmt.Sprintf(`{"spool":"%v","seq":5,`, id)) {
		t.Errorf("behind event 4 of %d come %d, the first of them %.60s", len(want), len(behind), behind[0])
	}
}

func TestSpoolIsReadWhenNoDaemonAnswers(t *testing.T) {
	t.Parallel()
	s, dir := running(t)
	s.Append([]spool.Record{{Type: ipe.TypeMACStatus, Data: []byte("audit(1.000:1): enforcing=1 old_enforcing=0 lsm=ipe res=1")}})
	absent := filepath.Join(t.TempDir(), "absent")
	h := mustOpen(t, Options{Socket: absent, Dir: dir})
	if !strings.Contains(h.Origin(), dir) || !strings.Contains(h.Note(), "no daemon answers") {
		t.Errorf("origin %q, note %q", h.Origin(), h.Note())
	}
	if got := lines(t, h); len(got) != 1 || !strings.Contains(got[0], `"seq":1,`) {
		t.Errorf("got %s", got)
	}
	for _, tt := range []struct {
		name    string
		options Options
		want    error
	}{
		{"neither", Options{Socket: absent}, fs.ErrNotExist},
		{"no directory", Options{Socket: absent, Dir: absent}, fs.ErrNotExist},
		{"no spool in it", Options{Socket: absent, Dir: t.TempDir()}, segment.ErrNoSpool},
		{"a file in its place", Options{Socket: absent, Dir: capture}, syscall.ENOTDIR},
		{"a file that is not there", Options{Names: []string{absent}}, fs.ErrNotExist},
	} {
		if _, err := Open(context.Background(), tt.options); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		} else if spoolFailed := errors.As(err, new(*SpoolError)); spoolFailed != (tt.want != fs.ErrNotExist) {
			t.Errorf("%s: %v is a SpoolError: %v", tt.name, err, spoolFailed)
		}
	}
}

// TestEventsOfAnInputKeepTheirOrigin has a spool with what was received and with
// what came from an input, and reads it in place of a daemon.
func TestEventsOfAnInputKeepTheirOrigin(t *testing.T) {
	t.Parallel()
	s, dir := running(t)
	switched := func(at int) []byte {
		return fmt.Appendf(nil, "audit(%d.000:7): enforcing=1 old_enforcing=0 lsm=ipe res=1", at)
	}
	imported := func(im entry.Imported, data []byte) spool.Record {
		im.Data = data
		return spool.Record{Type: entry.TypeImported, Time: time.Now().UnixNano(), Data: entry.AppendImported(nil, &im)}
	}
	s.Append([]spool.Record{
		{Type: ipe.TypeMACStatus, Time: time.Now().UnixNano(), Data: switched(1)},
		imported(entry.Imported{Type: ipe.TypeMACStatus}, switched(2)),
		imported(entry.Imported{Type: ipe.TypeMACStatus, Host: []byte("db"), BootID: []byte("b")}, switched(3)),
		imported(entry.Imported{}, []byte(`{"spool":"00000000000000aa","seq":4,"time":"1970-01-01T00:00:09.000Z","event":"stopped","host":"db"}`)),
	})
	boot, err := bootid.Current()
	if err != nil {
		t.Fatal(err)
	}
	h := mustOpen(t, Options{Socket: filepath.Join(t.TempDir(), "absent"), Dir: dir})
	defer h.Close()
	got := map[string]bool{}
	for {
		ev, err := h.Next()
		if err != nil {
			break
		}
		at := ev.At.String()
		if ev.At.ID == s.End().ID {
			at = fmt.Sprint(ev.At.Seq)
		}
		got[fmt.Sprintf("%s of %s, boot %s", at, ev.Host, ev.BootID)] = true
	}
	want := map[string]bool{
		fmt.Sprintf("1 of %s, boot %s", host.Name(), boot): true,
		fmt.Sprintf("2 of %s, boot ", host.Name()):         true,
		"3 of db, boot b":                 true,
		"00000000000000aa:4 of db, boot ": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// event returns a line of a sink.
func event(seq int, id, at string) string {
	return fmt.Sprintf(`{"spool":"%s","seq":%d,"time":"2026-11-23T%s.000Z","event":"stopped"}`+"\n", id, seq, at)
}

func TestFilesAreReadInTheOrderOfTheirTimes(t *testing.T) {
	t.Parallel()
	newer := put(t, "events.json", []byte(event(3, "000000000000000a", "12:00:00")))
	older := put(t, "events.json.20261123T110000.000Z.gz", zip([]byte(event(1, "000000000000000a", "10:00:00")+event(2, "000000000000000a", "11:00:00"))))
	want := []string{event(1, "000000000000000a", "10:00:00"), event(2, "000000000000000a", "11:00:00"), event(3, "000000000000000a", "12:00:00")}
	got := lines(t, mustOpen(t, Options{Names: []string{newer, older}}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	since := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	got = lines(t, mustOpen(t, Options{Names: []string{newer, older}, Since: since}))
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Errorf("since 11:00 (-want +got):\n%s", diff)
	}
}

func TestEntriesThatAreLeftOutAreCounted(t *testing.T) {
	t.Parallel()
	in := event(4, "000000000000000a", "10:00:00") + event(5, "000000000000000a", "10:00:01") + event(9, "000000000000000a", "10:00:02") +
		`{"event":"lost","count":2,"first_seq":10,"last_seq":11}` + "\n" + event(12, "000000000000000a", "10:00:03") +
		event(9, "000000000000000a", "10:00:04") + event(1, "000000000000000b", "10:00:05") + event(3, "000000000000000c", "10:00:06") +
		`{"event":"lost","count":2,"first_seq":1,"last_seq":2}` + "\n" + event(3, "000000000000000d", "10:00:07") + event(5, "000000000000000d", "10:00:08")
	h := mustOpen(t, Options{Names: []string{"-"}, Stdin: strings.NewReader(in)})
	defer h.Close()
	host := h.Hosts()[0]
	if len(h.Hosts()) != 1 || host.Skipped != 4 || host.Repeats != 1 {
		t.Errorf("%d hosts; %d left out, want 4; %d repeated, want 1", len(h.Hosts()), host.Skipped, host.Repeats)
	}
}

func TestWhatWasCountedIsNotLeftOut(t *testing.T) {
	t.Parallel()
	repeated := func(id string, count, first, last int) string {
		return fmt.Sprintf(`{"spool":"%s","event":"repeated","verdict":"denied","count":%d,"first_seq":%d,"last_seq":%d}`+"\n", id, count, first, last)
	}
	for name, tt := range map[string]struct {
		in   string
		want uint64
	}{
		"behind the gap":        {event(1, "000000000000000a", "10:00:00") + event(5, "000000000000000a", "10:00:01") + repeated("000000000000000a", 3, 2, 4), 0},
		"before it":             {event(1, "000000000000000a", "10:00:00") + repeated("000000000000000a", 3, 2, 4) + event(5, "000000000000000a", "10:00:01"), 0},
		"more is missing":       {event(1, "000000000000000a", "10:00:00") + event(9, "000000000000000a", "10:00:01") + repeated("000000000000000a", 3, 2, 6), 4},
		"before the first one":  {event(7, "000000000000000a", "10:00:00") + event(9, "000000000000000a", "10:00:01") + repeated("000000000000000a", 3, 2, 6), 1},
		"of another id":         {event(1, "000000000000000a", "10:00:00") + event(3, "000000000000000a", "10:00:01") + repeated("000000000000000b", 1, 2, 2), 1},
		"numbers that go back":  {event(1, "000000000000000a", "10:00:00") + event(3, "000000000000000a", "10:00:01") + repeated("000000000000000a", 1, 5, 2), 1},
		"more than the numbers": {event(1, "000000000000000a", "10:00:00") + event(9, "000000000000000a", "10:00:01") + repeated("000000000000000a", 99, 2, 3), 5},
	} {
		h := mustOpen(t, Options{Names: []string{"-"}, Stdin: strings.NewReader(tt.in)})
		got := h.Hosts()[0].Skipped
		h.Close()
		if got != tt.want {
			t.Errorf("%s: %d left out, want %d", name, got, tt.want)
		}
	}
}

func TestWhatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	good := event(1, "000000000000000a", "10:00:00")
	torn := put(t, "torn", []byte(good+"not ours\n"+`{"level":"info"}`+"\n"+`{"spool":"000000000000000a","seq":2,"ev`))
	damaged := put(t, "damaged", zip([]byte(good))[:40])
	got := lines(t, mustOpen(t, Options{Names: []string{torn, damaged, torn}}))
	half := `{"event":"unparsed","raw":"{\"spool\":\"000000000000000a\",\"seq\":2,\"ev"}` + "\n"
	want := []string{damaged + ": offset 0: the compressed data is cut off", half, half, good}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyInForceIsConcluded(t *testing.T) {
	t.Parallel()
	activate := func(serial, second int, name string) string {
		return fmt.Sprintf("type=1421 audit(%d.000:%d): old_active_pol_name=? old_active_pol_version=? old_policy_digest=? new_active_pol_name=\"%s\" new_active_pol_version=1.0.0 new_policy_digest=sha256:AB auid=1 ses=1 lsm=ipe res=1\n", second, serial, name)
	}
	denied := func(serial, second int) string {
		return fmt.Sprintf("type=1420 audit(%d.000:%d): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=1 comm=\"a\" path=? dev=? ino=? rule=\"DEFAULT action=DENY\"\n", second, serial)
	}
	stored := func(seq int, boot, rest string) string {
		return fmt.Sprintf(`{"spool":"000000000000000a","seq":%d,%s,"boot_id":"%s"}`+"\n", seq, rest, boot)
	}
	const (
		activated = `"event":"policy_activate","policy_name":"p"`
		judged    = `"event":"access","verdict":"denied"`
		itself    = `"event":"access","verdict":"denied","active_policy_name":"q"`
	)
	tests := []struct {
		name  string
		files []string
		want  string // who judged each access
	}{
		{"from the first activation on", []string{denied(1, 100) + activate(2, 100, "a") + denied(3, 100) + activate(4, 100, "b") + denied(5, 200)}, "? a b"},
		{"out of order", []string{activate(9, 100, "a") + denied(8, 100) + denied(10, 101)}, "? a"},
		{"another boot", []string{activate(9, 100, "a") + denied(3, 200)}, "?"},
		{"another file", []string{denied(2, 101), activate(1, 100, "a")}, "a"},
		{"a loss", []string{stored(1, "A", activated) + `{"event":"lost","count":1,"stage":"socket"}` + "\n" + stored(2, "A", judged)}, "?"},
		{"a line that is torn", []string{stored(1, "A", activated) + `{"spool":"00` + "\n" + stored(2, "A", judged)}, "?"},
		{"a gap", []string{stored(1, "A", activated) + stored(2, "A", judged) + stored(4, "A", judged)}, "p ?"},
		{"another file that goes on", []string{stored(1, "A", activated), stored(2, "A", judged)}, "p"},
		{"another file with a gap", []string{stored(1, "A", activated), stored(3, "A", judged)}, "?"},
		{"another boot id", []string{stored(1, "A", activated) + stored(2, "B", judged)}, "?"},
		{"the event says itself", []string{stored(1, "A", activated) + stored(2, "A", itself) + stored(3, "A", judged)}, "q ?"},
	}
	for _, tt := range tests {
		var names []string
		for i, content := range tt.files {
			names = append(names, put(t, fmt.Sprint(i), []byte(content)))
		}
		h := mustOpen(t, Options{Names: names})
		var got []string
		for {
			ev, err := h.Next()
			if err != nil {
				break
			}
			if ev.Kind == ipe.KindAccess {
				got = append(got, orUnknown(string(ev.ActivePolicy.Name)))
			}
		}
		h.Close()
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func orUnknown(name string) string {
	if name == "" {
		return "?"
	}
	return name
}
