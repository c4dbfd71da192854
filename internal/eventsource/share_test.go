package eventsource

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// of returns a line of a sink for an event of a host.
func of(host, boot, id string, seq int) string {
	line := fmt.Sprintf(`{"spool":"%s","seq":%d,"time":"2026-11-23T10:00:%02d.000Z","event":"stopped","host":"%s"`, id, seq, seq, host)
	if boot != "" {
		line += `,"boot_id":"` + boot + `"`
	}
	return line + "}\n"
}

// TestSpoolOfSeveralHosts has what a daemon makes of an input with the records of
// several hosts or boots, whose numbers only together have no hole, and clones,
// each of which has all numbers itself.
func TestSpoolOfSeveralHosts(t *testing.T) {
	t.Parallel()
	const id = "000000000000000a"
	type host struct {
		skipped, shared uint64
		holes           int
	}
	for name, tt := range map[string]struct {
		in   []string
		want map[string]host
	}{
		"two hosts in turn": {
			[]string{of("a", "", id, 1), of("b", "", id, 2), of("a", "", id, 3), of("b", "", id, 4), of("b", "", id, 5), of("a", "", id, 6)},
			map[string]host{"a": {}, "b": {}},
		},
		"two hosts in turn, one missing": {
			[]string{of("a", "", id, 1), of("b", "", id, 2), of("a", "", id, 3), of("b", "", id, 5), of("a", "", id, 6)},
			map[string]host{"a": {1, 1, 1}, "b": {0, 1, 1}},
		},
		"two boots of one host": {
			[]string{of("a", "x", id, 1), of("a", "y", id, 2), of("a", "x", id, 3), of("a", "y", id, 5)},
			map[string]host{"a": {1, 0, 1}},
		},
		"clones": {
			[]string{of("a", "", id, 1), of("b", "", id, 1), of("a", "", id, 2), of("b", "", id, 3)},
			map[string]host{"a": {}, "b": {1, 0, 1}},
		},
		"clones, of which one goes on": {
			[]string{of("a", "", id, 1), of("a", "", id, 2), of("b", "", id, 5), of("b", "", id, 6)},
			map[string]host{"a": {}, "b": {0, 0, 1}},
		},
	} {
		for range 2 {
			h := mustOpen(t, Options{Names: []string{"-"}, Stdin: strings.NewReader(strings.Join(tt.in, ""))})
			got := make(map[string]host)
			for {
				ev, err := h.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				seen := got[string(ev.Host)]
				if ev.Hole {
					seen.holes++
				}
				got[string(ev.Host)] = host{ev.On.Skipped, ev.On.Shared, seen.holes}
			}
			h.Close()
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%s: got %v, want %v", name, got, tt.want)
			}
			for i, j := 0, len(tt.in)-1; i < j; i, j = i+1, j-1 {
				tt.in[i], tt.in[j] = tt.in[j], tt.in[i]
			}
		}
	}
}

// TestEventOfAnotherBootIsNotOfTheHostBefore reads a spool directory, which does
// not say of which host its own entries are.
func TestEventOfAnotherBootIsNotOfTheHostBefore(t *testing.T) {
	t.Parallel()
	s, dir := running(t)
	im := entry.Imported{Type: ipe.TypeMACStatus, Host: []byte("db"), BootID: []byte("b"),
		Data: []byte("audit(3.000:7): enforcing=1 old_enforcing=0 lsm=ipe res=1")}
	s.Append([]spool.Record{
		{Type: entry.TypeImported, Time: 1, Data: entry.AppendImported(nil, &im)},
		{Type: ipe.TypeMACStatus, Time: 2, Data: []byte("audit(4.000:7): enforcing=1 old_enforcing=0 lsm=ipe res=1")},
	})
	h := mustOpen(t, Options{Names: []string{dir}})
	defer h.Close()
	var got []string
	for _, host := range h.Hosts() {
		got = append(got, string(host.Name))
	}
	if strings.Join(got, ",") != ",db" {
		t.Errorf("hosts %q, want one without a name, and db", got)
	}
}

// TestOnlyTheHostOfTheDaemonIsLive has a daemon that has also read an input.
func TestOnlyTheHostOfTheDaemonIsLive(t *testing.T) {
	t.Parallel()
	s, dir := running(t)
	const data = "audit(3.000:7): enforcing=1 old_enforcing=0 lsm=ipe res=1"
	im := entry.Imported{Type: ipe.TypeMACStatus, Host: []byte("another"), BootID: []byte("b"), Data: []byte(data)}
	s.Append([]spool.Record{
		{Type: ipe.TypeMACStatus, Time: 1, Data: []byte(data)},
		{Type: entry.TypeImported, Time: 2, Data: entry.AppendImported(nil, &im)},
	})
	for _, live := range []bool{false, true} {
		h := mustOpen(t, Options{Names: []string{dir}})
		h.live = live
		for _, host := range h.Hosts() {
			if want := live && host.Name == nil; host.Live != want {
				t.Errorf("%q, with a daemon %v: live %v, want %v", host.Name, live, host.Live, want)
			}
		}
		h.Close()
	}
}
