package engines

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nats"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

type natsOptions = nats.Options

const subject = "ipe.{host}.{event}"

func form(t testing.TB, f format.Func) format.Func {
	t.Helper()
	g, err := nats.Form(subject, f)
	check(t, err)
	return g
}

// denial returns a denial of a host, as an entry.
func denial(f format.Func, host string, seq int, at time.Time, pad int) *sink.Entry {
	ev := &ipe.Event{
		Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny, Has: ipe.HasStamp, Time: at.UnixMilli(), Type: 1420,
		Op: []byte("EXECUTE"), Path: fmt.Appendf(nil, "/usr/bin/tool-%d%s", seq, strings.Repeat("p", pad)),
	}
	cursor := spool.Cursor{ID: 7, Seq: uint64(seq)}
	c := format.Context{Identity: format.Identity{Spool: 7, Seq: cursor.Seq, Host: []byte(host)}}
	return &sink.Entry{Event: ev, Cursor: cursor, Bytes: f(nil, ev, &c)}
}

var longAgo = time.UnixMilli(1795440956605)

// told collects what a sink gives up, and warns of.
type told struct {
	mu       sync.Mutex
	refused  []sink.Refused
	warnings []string
}

func (t *told) add(r sink.Refused) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused = append(t.refused, r)
}

func (t *told) warn(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.warnings = append(t.warnings, s)
}

func newSink(t testing.TB, server string, change func(*nats.Options)) (*nats.Sink, *told) {
	t.Helper()
	said := new(told)
	o := nats.Options{Servers: []string{server}, Stream: "IPE", Subject: subject, JSON: true, Timeout: patience, Batch: 100,
		Refused: said.add, Warn: said.warn}
	if change != nil {
		change(&o)
	}
	s, err := nats.New(o)
	check(t, err)
	t.Cleanup(func() { s.Close() })
	return s, said
}

func TestConformanceNATS(t *testing.T) {
	f := form(t, format.AppendJSON)
	sinktest.Run(t, func(t testing.TB) *sinktest.Place {
		// Not in this process, whose goroutines are counted.
		s := newProcess(t)
		s.start()
		js := streams(t, s.url())
		makeStream(t, js, nil)
		n := newNetwork(t, s.address())
		out, _ := newSink(t, n.url(), nil)
		return &sinktest.Place{
			Sink: out,
			Entries: func() (list [][]byte, err error) {
				all, err := stored(limited(t), js)
				for _, m := range all {
					list = append(list, fmt.Appendf(nil, "%s %s\n%s", m.Subject(), m.Headers().Get(jetstream.MsgIDHeader), m.Data()))
				}
				return list, err
			},
			Entry: func(i int) *sink.Entry { return denial(f, "web1", i+1, longAgo, i*7%311) },
			Break: n.fail, Repair: n.repair,
			Hang: n.gate.Lock, Resume: n.gate.Unlock,
		}
	})
}

// deliver writes entries and flushes.
func deliver(t testing.TB, s *nats.Sink, entries ...*sink.Entry) error {
	t.Helper()
	ctx := limited(t)
	if err := s.Open(ctx); err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.Write(ctx, e); err != nil {
			return err
		}
	}
	return s.Flush(ctx)
}

func TestSubjectHasNoByteThatMeansSomethingThere(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	out, _ := newSink(t, url(s), nil)
	f := form(t, format.AppendJSON)
	hosts := []string{"web1.example.com", "a b", "*", ">", "", "héllo", "x_-9\n"}
	for i, h := range hosts {
		check(t, deliver(t, out, denial(f, h, i+1, longAgo, 0)))
	}
	all, err := stored(limited(t), js)
	check(t, err)
	var subjects []string
	for i, m := range all {
		subjects = append(subjects, m.Subject())
		var ev ipe.Event
		var id format.Identity
		check(t, new(format.Parser).Parse(&ev, &id, m.Data()))
		if string(id.Host) != hosts[i] {
			t.Errorf("the payload of %s has host %q, want %q", m.Subject(), id.Host, hosts[i])
		}
		if got, want := m.Headers().Get("Nats-Msg-Id"), fmt.Sprintf("%016x:%d", 7, i+1); got != want {
			t.Errorf("id %q, want %q", got, want)
		}
	}
	want := []string{"ipe.web1_example_com.access", "ipe.a_b.access", "ipe._.access", "ipe._.access", "ipe._.access", "ipe.h__llo.access", "ipe.x_-9_.access"}
	if !slices.Equal(subjects, want) {
		t.Errorf("got %q, want %q", subjects, want)
	}
}

func TestStreamIsLookedAtBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		change  func(*jetstream.StreamConfig)
		wrong   string
		warning string
	}{
		{name: "good"},
		{name: "other subjects", change: func(c *jetstream.StreamConfig) { c.Subjects = []string{"ipe.*", "other.>"} }, wrong: "takes ipe.*, other.>, and not ipe.*.*"},
		{name: "exact subjects", change: func(c *jetstream.StreamConfig) { c.Subjects = []string{"ipe.*.*"} }},
		{name: "no ack", change: func(c *jetstream.StreamConfig) { c.NoAck = true }, wrong: "has no_ack"},
		{name: "short window", change: func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }, warning: "knows duplicates for 1m only"},
		{name: "in memory", change: func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }, warning: "is kept in memory"},
		{name: "interest", change: func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy }, warning: "set its retention to limits"},
		{name: "a mirror", change: func(c *jetstream.StreamConfig) {
			c.Subjects, c.Mirror, c.Duplicates = nil, &jetstream.StreamSource{Name: "OTHER"}, 0
		}, wrong: "is a mirror"},
	} {
		s := startServer(t, nil)
		makeStream(t, streams(t, url(s)), tt.change)
		out, said := newSink(t, url(s), nil)
		for range 2 {
			err := out.Open(limited(t))
			if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: got %v, want %q", tt.name, err, tt.wrong)
			}
			check(t, out.Close())
		}
		if (len(said.warnings) == 1) != (tt.warning != "") || tt.warning != "" && !strings.Contains(said.warnings[0], tt.warning) {
			t.Errorf("%s: warned %q, want %q once", tt.name, said.warnings, tt.warning)
		}
	}
}

func TestStreamIsMadeWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	out, _ := newSink(t, url(s), nil)
	if err := out.Open(limited(t)); err == nil || !strings.Contains(err.Error(), "there is no stream IPE; make it, or set create: true") {
		t.Errorf("got %v", err)
	}
	var wg sync.WaitGroup
	for range 10 { // hosts that start together
		wg.Go(func() {
			out, _ := newSink(t, url(s), func(o *nats.Options) { o.Create = true })
			if err := out.Open(limited(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stream, err := streams(t, url(s)).Stream(limited(t), "IPE")
	check(t, err)
	if c := stream.CachedInfo().Config; !slices.Equal(c.Subjects, []string{"ipe.>"}) || c.Duplicates != 24*time.Hour || c.Replicas != 1 {
		t.Errorf("made %+v", c)
	}

	none := startServer(t, func(o *server.Options) { o.JetStream = false })
	out, _ = newSink(t, url(none), func(o *nats.Options) { o.Create, o.Timeout = true, 2*time.Second })
	if err := out.Open(limited(t)); err == nil || !strings.Contains(err.Error(), "jetstream") {
		t.Errorf("without JetStream: %v", err)
	}
}

// A message that another process has sent by that name is told; what we sent
// ourselves, or a process before us, is not.
func TestForeignDuplicatesAreTold(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	f := form(t, format.AppendJSON)
	before, _ := newSink(t, url(s), nil)
	check(t, deliver(t, before, denial(f, "a", 1, longAgo, 0), denial(f, "a", 2, time.Now().Add(time.Hour), 0)))

	out, said := newSink(t, url(s), nil)
	check(t, deliver(t, out, denial(f, "a", 1, longAgo, 0), denial(f, "a", 2, time.Now().Add(time.Hour), 0), denial(f, "a", 3, time.Now().Add(time.Hour), 0)))
	if len(said.refused) != 1 || !said.refused[0].Unknown || said.refused[0].Cursor.Seq != 2 {
		t.Errorf("told %+v, want that entry 2 is in doubt", said.refused)
	}
	if n := out.Counters()[2].Count; n != 2 {
		t.Errorf("%d duplicates are counted, want 2", n)
	}
	all, err := stored(limited(t), js)
	check(t, err)
	if len(all) != 3 {
		t.Errorf("%d messages, want 3", len(all))
	}
}

// Acknowledgements that were lost on the way make the batch come again, and the
// stream keeps each message once, without a word.
func TestABatchWhoseAcknowledgementsAreLostIsStoredOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	n := newNetwork(t, address(s))
	out, said := newSink(t, n.url(), func(o *nats.Options) { o.Timeout = 5 * time.Second })
	f := form(t, format.AppendJSON)
	var entries []*sink.Entry
	for i := range 100 {
		entries = append(entries, denial(f, "a", i+1, time.Now().Add(time.Hour), 0))
	}
	check(t, out.Open(limited(t)))
	done := make(chan error)
	go func() {
		for {
			info, err := js.Stream(limited(t), "IPE")
			if err != nil || info.CachedInfo().State.Msgs > 0 {
				n.cut()
				done <- err
				return
			}
		}
	}()
	err := deliver(t, out, entries...)
	check(t, <-done)
	for err != nil {
		check(t, out.Close())
		err = deliver(t, out, entries...)
	}
	all, err := stored(limited(t), js)
	check(t, err)
	if len(all) != 100 || len(said.refused) > 0 {
		t.Errorf("%d messages and %+v, want 100 and nothing told", len(all), said.refused)
	}
}

func TestLargeMessagesAreShortenedOrGivenUp(t *testing.T) {
	t.Parallel()
	for _, byStream := range []bool{true, false} {
		s := startServer(t, func(o *server.Options) {
			if !byStream {
				o.MaxPayload = 1024
			}
		})
		js := streams(t, url(s))
		makeStream(t, js, func(c *jetstream.StreamConfig) {
			if byStream {
				c.MaxMsgSize = 1024
			}
		})
		out, said := newSink(t, url(s), nil)
		f, g := form(t, format.AppendJSON), form(t, format.OTLP{}.Func())
		check(t, deliver(t, out, denial(f, "a", 1, longAgo, 10), denial(f, "a", 2, longAgo, 5000), denial(f, strings.Repeat("h", 2000), 3, longAgo, 0), denial(f, "a", 4, longAgo, 0)))
		check(t, out.Close())
		binary, alsoSaid := newSink(t, url(s), func(o *nats.Options) { o.JSON = false })
		check(t, deliver(t, binary, denial(g, "a", 5, longAgo, 5000), denial(g, "a", 6, longAgo, 0)))
		all, err := stored(limited(t), js)
		check(t, err)
		if len(all) != 4 {
			t.Fatalf("%d messages, want 4", len(all))
		}
		var ev ipe.Event
		var id format.Identity
		check(t, new(format.Parser).Parse(&ev, &id, all[1].Data()))
		if id.Seq != 2 || ev.Path != nil || ev.Verdict != ipe.VerdictDenied || !bytes.Contains(all[1].Data(), []byte(`,"shortened":50`)) {
			t.Errorf("got %s", all[1].Data())
		}
		if len(said.refused) != 1 || said.refused[0].Cursor.Seq != 3 || len(alsoSaid.refused) != 1 || alsoSaid.refused[0].Cursor.Seq != 5 {
			t.Errorf("told %+v and %+v, want entries 3 and 5", said.refused, alsoSaid.refused)
		}
	}
}
