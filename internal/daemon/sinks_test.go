package daemon

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
)

func TestUnheardEventsAreWarnedOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sinks string
		want        string // events that are warned of
	}{
		{"the default", "", ""},
		{"no sink", "sinks: []", "lost enforcement"},
		{"everything", "sinks: [{type: journald}]", ""},
		{"both", "sinks: [{type: journald, match: {events: [lost, enforcement]}}]", ""},
		{"one", "sinks: [{type: journald, match: {events: [lost]}}]", "enforcement"},
		{"one each", "sinks: [{type: journald, match: {events: [lost]}}, {type: console, match: {events: [enforcement]}}]", ""},
		{"accesses", "sinks: [{type: journald, match: {verdicts: [denied]}}]", "lost enforcement"},
		{"the second selection", "sinks: [{type: journald, match: [{ops: [EXECUTE]}, {events: [enforcement]}]}]", "lost"},
		{"not lost", "sinks: [{type: journald, match: {not: {events: [lost]}}}]", "lost"},
		{"not not lost", "sinks: [{type: journald, match: {not: {not: {events: [lost]}}}}]", "enforcement"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, _, err := config.Parse("x", []byte(tt.sinks))
			if err != nil {
				t.Fatal(err)
			}
			warnings, err := CheckSinks(cfg.Sinks)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				_, event, _ := strings.Cut(w.String(), "no sink takes \"")
				event, _, _ = strings.Cut(event, "\"")
				got = append(got, event)
				if len(cfg.Sinks) > 0 && w.File != "x" {
					t.Errorf("the warning names the file %q, want x", w.File)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %v, want %q; %v", got, tt.want, warnings)
			}
		})
	}
}

// TestWarningsAreLoggedAtTheStart has a socket whose namespace is not verified,
// as a stand-in's never is, and a sink that takes next to nothing.
func TestWarningsAreLoggedAtTheStart(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	o := options(t.TempDir(), "a")
	o.Protocol, o.NetNS = audittest.Protocol, group.NetNS()
	o.Config.Sinks[0].Match = []match.Selection{{Verdicts: []string{"denied"}}}
	core, said := observer.New(zap.WarnLevel)
	o.Log = zap.New(core)
	start(t, o).end()
	for _, want := range []string{"initial network namespace cannot be seen", "no sink takes \"lost\"", "no sink takes \"enforcement\""} {
		if n := said.Filter(func(e observer.LoggedEntry) bool { return strings.Contains(e.Message, want) }).Len(); n != 1 {
			t.Errorf("the log says %q %d times, want once", want, n)
		}
	}
}
