package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// access returns a denial at a second, by a user in a unit.
func access(second int, path, unit string, uid uint32) *eventsource.Event {
	ev := &eventsource.Event{Event: ipe.Event{
		Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny, Has: ipe.HasStamp | ipe.HasUID,
		Time: int64(second) * 1000, Serial: uint64(second), Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Path: []byte(path),
		Rule: []byte("DEFAULT op=EXECUTE action=DENY"), UID: uid, ActivePolicy: ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0")},
	}}
	if unit != "" {
		ev.Unit = []byte(unit)
	}
	return ev
}

func TestWhatWasDeniedBeforeIsNotNew(t *testing.T) {
	t.Parallel()
	r := &Report{Since: 50_000, NewSince: 100_000}
	for _, ev := range []*eventsource.Event{access(10, "/old", "", 0), access(60, "/middle", "", 0), access(150, "/old", "", 0), access(160, "/middle", "", 0), access(170, "/new", "", 0)} {
		r.Add(ev)
	}
	// Another policy does not make an object new.
	again := access(180, "/middle", "", 0)
	again.ActivePolicy.Version = []byte("2.0.0")
	r.Add(again)
	doc := whole(t, r)
	got := make(map[string]bool)
	for _, d := range doc["denials"].([]any) {
		d := d.(map[string]any)
		got[d["path"].(string)] = got[d["path"].(string)] || d["new"].(bool)
	}
	if fmt.Sprint(got) != "map[/middle:false /new:true /old:false]" || doc["new_since"] != "1970-01-01T00:01:40.000Z" {
		t.Errorf("%v", got)
	}
	lines := string(page(r, 100, time.UTC))
	if strings.Count(lines, "NEW EXECUTE BPRM_CHECK /new\n") != 1 || strings.Count(lines, "NEW ") != 1 || !strings.Contains(lines, "\nnew since 1970-01-01T00:01:40.000Z: 1 kind of denial\n") {
		t.Error(lines)
	}
}

func TestDenialsBy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ by, text, json string }{
		{"unit", "DENIALS BY UNIT\n       2  nginx.service\n          2 denied; 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:02.000Z 2.000:2\n       1  (unit not known)\n",
			"[map[count:2 denied:2 first:1970-01-01T00:00:01.000Z id:2.000:2 last:1970-01-01T00:00:02.000Z unit:nginx.service unknown:0 would_deny:0] map[count:1 "},
		{"user", "       2  uid 0\n", "[map[count:2 denied:2 first:1970-01-01T00:00:01.000Z id:3.000:3 last:1970-01-01T00:00:03.000Z uid:0 "},
		{"path", "       2  /a\n", "path:/a"},
		{"rule", "       3  DEFAULT op=EXECUTE action=DENY\n", "rule:DEFAULT op=EXECUTE action=DENY"},
		{"host", "       3  a host without a name\n", "[map[count:3"},
	} {
		r := &Report{By: tt.by}
		for _, ev := range []*eventsource.Event{access(1, "/a", "nginx.service", 0), access(2, "/b", "nginx.service", 7), access(3, "/a", "", 0)} {
			r.Add(ev)
		}
		if got := string(page(r, 100, time.UTC)); !strings.Contains(got, tt.text) {
			t.Errorf("%s: no %q in\n%s", tt.by, tt.text, got)
		}
		doc := whole(t, r)
		if got := fmt.Sprint(doc["groups"]); doc["by"] != tt.by || !strings.Contains(got, tt.json) {
			t.Errorf("%s: no %q in %s", tt.by, tt.json, got)
		}
	}
}

func TestOnlyWhatIsChosenCounts(t *testing.T) {
	t.Parallel()
	r := &Report{
		Match: func(ev *eventsource.Event) bool { return string(ev.Path) == "/a" },
		Kinds: func(k ipe.Kind) bool { return k == ipe.KindStopped },
		Limit: 1,
	}
	for i := range 5 {
		r.Add(access(i+1, "/a", "", uint32(i)))
		r.Add(access(i+1, "/b", "", uint32(i)))
	}
	r.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStarted}})
	r.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStopped}})
	r.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindLost, Stage: []byte("socket"), Has: ipe.HasCount, Count: 3, Accuracy: ipe.AccuracyExact}})
	doc := whole(t, r)
	if doc["events"] != 6.0 || len(doc["denials"].([]any)) != 1 || len(doc["timeline"].([]any)) != 1 || fmt.Sprint(doc["lost"]) != "map[accuracy:exact count:3]" {
		t.Errorf("%v", doc)
	}
}

// TestNarrowPagesLoseNothingThatCounts: sums, rules and policies are whole on 40
// columns, and on 80 a denial has few lines.
func TestNarrowPagesLoseNothingThatCounts(t *testing.T) {
	t.Parallel()
	r := &Report{Origin: "events.json"}
	for i := range 3 {
		ev := access(3600*i, "/usr/lib/"+strings.Repeat("x", 100), "nginx.service", 0)
		ev.Verdict = ipe.VerdictDenied + ipe.Verdict(i%2)
		r.Add(ev)
	}
	for _, width := range []int{40, 80} {
		p := text.Page{Width: width, Height: 24, Zone: time.UTC, Now: 7_300_000}
		r.WriteTo(&p)
		got := string(p.Bytes())
		for line := range strings.Lines(got) {
			if n := text.Columns(strings.NewReplacer("\n", "", "…", ".").Replace(line)); n > width {
				t.Errorf("%d columns: %d in %q", width, n, line)
			}
		}
		whole := strings.Join(strings.Fields(got), " ")
		for _, want := range []string{
			"events.json: 3 events, 1970-01-01T00:00:00.000Z to 1970-01-01T02:00:00.000Z in force:", "accesses: ", "allowed and recorded",
			"rule DEFAULT op=EXECUTE action=DENY of lab 1.0.0", "last 1m40s ago by an unknown command; uid 0; in nginx.service 7200.000:7200",
		} {
			if !strings.Contains(whole, want) {
				t.Errorf("%d columns: no %q in\n%s", width, want, got)
			}
		}
	}
}
