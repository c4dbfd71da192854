package daemon

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestRefusedEventsAreTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		input   bool
		refused func(id spool.ID) sink.Refused
		want    string // in the event
	}{
		{"an entry", false, func(id spool.ID) sink.Refused {
			return sink.Refused{Kind: ipe.KindAccess, Cursor: spool.Cursor{ID: id, Seq: 3}}
		}, `"event":"lost","count":1,"accuracy":"exact","stage":"sink","sink":"siem","first_seq":3,"last_seq":3`},
		{"of an earlier spool", false, func(id spool.ID) sink.Refused {
			return sink.Refused{Kind: ipe.KindAccess, Cursor: spool.Cursor{ID: id + 1, Seq: 3}}
		}, `"stage":"sink","sink":"siem"`},
		{"some of several", false, func(spool.ID) sink.Refused { return sink.Refused{Kind: ipe.KindUnparsed, Count: 7} },
			`"event":"lost","count":7,"accuracy":"exact","stage":"sink","sink":"siem"`},
		{"nobody knows", false, func(id spool.ID) sink.Refused {
			return sink.Refused{Kind: ipe.KindAccess, Unknown: true, Cursor: spool.Cursor{ID: id, Seq: 3}}
		}, `"event":"lost","accuracy":"unknown","stage":"sink","sink":"siem","first_seq":3,"last_seq":3`},
		{"no entry", false, func(spool.ID) sink.Refused { return sink.Refused{Kind: ipe.KindRepeated} }, `"stage":"sink","sink":"siem"`},
		{"a loss", false, func(spool.ID) sink.Refused { return sink.Refused{Kind: ipe.KindLost, Stage: "kernel"} }, `"stage":"sink","sink":"siem"`},
		{"what says that one was refused", false, func(spool.ID) sink.Refused { return sink.Refused{Kind: ipe.KindLost, Stage: "sink"} }, ""},
		{"with an input", true, func(spool.ID) sink.Refused { return sink.Refused{Kind: ipe.KindAccess} }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := spool.Open(spool.Options{Memory: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			core, said := observer.New(zap.InfoLevel)
			d := &daemon{log: zap.New(core), spool: s}
			d.emitter.spool = s
			if tt.input {
				d.Input = strings.NewReader("")
			}
			d.refused("siem")(tt.refused(s.End().ID))
			if n := said.Len(); n != 1 {
				t.Errorf("%d lines in the log, want one", n)
			}
			s.Close()
			r := s.NewReader(spool.Start{})
			defer r.Close()
			e, ok, err := r.TryNext()
			if !ok {
				if tt.want != "" {
					t.Errorf("nothing in the spool: %v", err)
				}
				return
			}
			var decoder entry.Decoder
			var ev ipe.Event
			var context format.Context
			decoder.Decode(&ev, &context.Identity, e)
			if line := string(format.AppendJSON(nil, &ev, &context)); tt.want == "" || !strings.Contains(line, tt.want) {
				t.Errorf("got %s, want %q in it", line, tt.want)
			}
			if strings.HasPrefix(tt.name, "of an earlier") && ev.Has&ipe.HasSeqRange != 0 {
				t.Error("it names an entry of the wrong spool")
			}
		})
	}
}

// A receiver that refuses everything does not fill the log.
func TestRefusedEventsAreALineASecond(t *testing.T) {
	t.Parallel()
	core, said := observer.New(zap.InfoLevel)
	l := refusedLog{log: zap.New(core)}
	begin := time.Now()
	for i := range 1000 {
		l.add(sink.Refused{Count: 2, Reason: "400"}, begin.Add(time.Duration(i)*10*time.Millisecond))
	}
	if n := said.Len(); n != 10 {
		t.Fatalf("%d lines for ten seconds", n)
	}
	if got := said.All()[1].ContextMap()["before"]; got != uint64(198) {
		t.Errorf("the second line says that %v came before, want 198", got)
	}
}
