package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/tally"
)

// hostOf is an entry of "hosts", and what is known of one that was made up.
type hostOf struct {
	Host      string
	Boots     int
	Events    uint64
	Denied    uint64
	WouldDeny uint64 `json:"would_deny"`
	Allowed   uint64
	Unknown   uint64
	Lost      uint64
	InForce   struct {
		Policy    string
		Version   string `json:"active_policy_version"`
		Enforcing bool
	} `json:"in_force"`
	First, Last string
}

func wantHosts(logs []audittest.HostLog) (list []hostOf) {
	for _, l := range logs {
		h := hostOf{Host: l.Name, Boots: l.Boots, Events: uint64(len(l.Lines)), Denied: l.Denied, WouldDeny: l.WouldDeny,
			First: tally.Instant(l.First.UnixMilli()), Last: tally.Instant(l.Last.UnixMilli())}
		h.InForce.Policy, h.InForce.Version, h.InForce.Enforcing = "active", l.Policy, l.Enforcing
		list = append(list, h)
	}
	return list
}

// document returns the JSON form, without what depends on how often and from
// where the events came.
func documentOf(t *testing.T, r *Report) (doc map[string]any, hosts []hostOf, repeats float64) {
	t.Helper()
	line := r.AppendJSON(nil)
	doc = make(map[string]any)
	var typed struct{ Hosts []hostOf }
	if err := json.Unmarshal(line, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &typed); err != nil {
		t.Fatal(err)
	}
	repeats = doc["repeats"].(float64)
	delete(doc, "origin")
	delete(doc, "repeats")
	return doc, typed.Hosts, repeats
}

func sumUp(t *testing.T, lines ...string) *Report {
	t.Helper()
	return read(t, []string{"-"}, strings.Join(lines, "\n")+"\n")
}

// TestOrderIsNoEvidence gives the same events in many orders, more than once and
// in several files.
func TestOrderIsNoEvidence(t *testing.T) {
	t.Parallel()
	logs := audittest.HostLogs(30)
	var all []string
	for _, l := range logs {
		all = append(all, l.Lines...)
	}
	want, hosts, _ := documentOf(t, sumUp(t, all...))
	if diff := cmp.Diff(wantHosts(logs), hosts); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if want["skipped"] != 0. {
		t.Errorf("%v skipped", want["skipped"])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		lines := append([]string(nil), all...)
		twice := 0
		switch round % 4 {
		case 1: // newest first
			for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
				lines[i], lines[j] = lines[j], lines[i]
			}
		case 2:
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		case 3:
			for _, i := range random.Perm(len(all))[:50] {
				lines = append(lines, all[i])
				twice++
			}
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		dir := t.TempDir()
		var names []string
		for i := 0; len(lines) > 0; i++ {
			n := min(len(lines), 1+random.IntN(200))
			name := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(name, []byte(strings.Join(lines[:n], "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			names, lines = append(names, name), lines[n:]
		}
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		got, _, repeats := documentOf(t, read(t, names, ""))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("round %d (-want +got):\n%s", round, diff)
		}
		if repeats != float64(twice) {
			t.Errorf("round %d: %v repeats, want %d", round, repeats, twice)
		}
	}
}

func TestPageNamesTheOddHosts(t *testing.T) {
	t.Parallel()
	var all []string
	for _, l := range audittest.HostLogs(30) {
		all = append(all, l.Lines...)
	}
	text := string(page(sumUp(t, all...), 50, time.UTC))
	for _, want := range []string{
		"of 30 hosts, ",
		"10 hosts  policy corp 1.0.0 (sha256:aa), permissive",
		"10 hosts  policy corp 2.0.0 (sha256:aa), permissive: host00001, host00004, host00007, host00010, host00013 and 5 more",
		"last heard, the longest ago: host00001 2026-11-23T10:04:01.000Z, ",
		"on 30 hosts by sh",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestOneDenialIsOne has one record in every form in which it may come.
func TestOneDenialIsOne(t *testing.T) {
	t.Parallel()
	const (
		record  = `ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=0 pid=559 comm="labtool" path="/opt/app/bin/agent" dev="vda2" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`
		audit   = `node=h type=UNKNOWN[1420] msg=audit(1795440941.273:45): ` + record
		journal = `{"_TRANSPORT":"audit","_AUDIT_TYPE":"1420","_AUDIT_ID":"45","_SOURCE_REALTIME_TIMESTAMP":"1795440941273000","_BOOT_ID":"aa","_HOSTNAME":"h","MESSAGE":`
		kernel  = `{"_TRANSPORT":"kernel","SYSLOG_FACILITY":"0","_BOOT_ID":"aa","_HOSTNAME":"h","MESSAGE":`
		ours    = `{"spool":"000000000000000a","seq":7,"time":"2026-11-23T13:35:41.273Z","serial":45,"type":1420,"event":"access","verdict":"would_deny","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"labtool","path":"/opt/app/bin/agent","dev":"vda2","rule":"DEFAULT op=EXECUTE action=DENY","enforcing":false,"pid":559,"ino":2,"action":"DENY","host":"h"}`
	)
	quote := func(s string) string { return string(tally.Quote(s)) + "}" }
	forms := map[string]string{
		"audit.log":       audit,
		"journal, audit":  journal + quote("AUDIT1420 "+record),
		"journal, kernel": kernel + quote("audit: type=1420 audit(1795440941.273:45): "+record),
		"cut":             kernel + quote("audit: type=1420 audit(1795440941.273:45): "+record[:80]),
		"ours":            ours,
	}
	for a, first := range forms {
		for b, second := range forms {
			r := sumUp(t, first, second)
			doc, _, repeats := documentOf(t, r)
			wantEvents := 1.
			unread := a == "cut" && b == "cut"
			if doc["events"] != wantEvents || repeats != 1 || doc["unparsed"] != 0. && !unread {
				t.Errorf("%s and %s: %v events, %v unparsed, %v repeats", a, b, doc["events"], doc["unparsed"], repeats)
			}
		}
	}
	for name, other := range map[string]string{
		"another host":    strings.Replace(ours, `"host":"h"`, `"host":"i"`, 1),
		"another process": strings.Replace(ours, `"pid":559`, `"pid":560`, 1),
		"another path":    strings.Replace(ours, `/agent`, `/agents`, 1),
		"another hook":    strings.Replace(ours, `BPRM_CHECK`, `MMAP`, 1),
		"another serial":  strings.Replace(ours, `"serial":45`, `"serial":46`, 1),
		"another stamp":   strings.Replace(ours, `41.273Z`, `41.274Z`, 1),
	} {
		if doc, _, _ := documentOf(t, sumUp(t, audit, other)); doc["events"] != 2. {
			t.Errorf("%s: %v events, want 2", name, doc["events"])
		}
	}
}

func TestHostsAreTold(t *testing.T) {
	t.Parallel()
	const line = `{"time":"2026-11-23T10:00:0%d.000Z","event":"stopped"%s}`
	host := func(n int, keys string) string { return fmt.Sprintf(line, n, keys) }
	for name, tt := range map[string]struct {
		lines []string
		want  string // host and boots of each
	}{
		"no names at all":              {[]string{host(1, ""), host(2, "")}, " 1"},
		"boots without a host":         {[]string{host(1, `,"boot_id":"A"`), host(2, `,"boot_id":"B"`)}, " 2"},
		"the boot names it":            {[]string{host(1, `,"boot_id":"A"`), host(2, `,"host":"h","boot_id":"A"`)}, "h 1"},
		"a boot of clones names none":  {[]string{host(1, `,"boot_id":"A"`), host(2, `,"host":"h","boot_id":"A"`), host(3, `,"host":"i","boot_id":"A"`)}, " 1, h 1, i 1"},
		"host known and boot not":      {[]string{host(1, `,"host":"h"`), host(2, `,"host":"h"`)}, "h 1"},
		"some of its boots known":      {[]string{host(1, `,"host":"h"`), host(2, `,"host":"h","boot_id":"A"`), host(3, `,"host":"h","boot_id":"B"`)}, "h 2"},
		"names are as they are":        {[]string{host(1, `,"host":"H"`), host(2, `,"host":"h"`), host(3, `,"host":"h.example"`)}, "H 1, h 1, h.example 1"},
		"nothing":                      {nil, ""},
		"a line torn is of no new one": {[]string{host(1, `,"host":"h"`), host(2, `,"host":"i"`), `{"spool":"000000000000000a","seq":2,"ev`}, "h 1, i 1"},
	} {
		_, hosts, _ := documentOf(t, sumUp(t, tt.lines...))
		var got []string
		for _, h := range hosts {
			got = append(got, fmt.Sprint(h.Host, " ", h.Boots))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestWhatASinkLeavesOutIsNotLost reads what a sink with a match was given.
func TestWhatASinkLeavesOutIsNotLost(t *testing.T) {
	t.Parallel()
	line := func(seq int, prev string) string {
		return fmt.Sprintf(`{"spool":"000000000000000a","seq":%d,"time":"2026-11-23T10:00:%02d.000Z","event":"stopped"%s}`, seq, seq, prev)
	}
	prev := func(seq, prev int) string { return line(seq, fmt.Sprintf(`,"prev_seq":%d`, prev)) }
	for name, tt := range map[string]struct {
		lines            []string
		skipped, leftOut float64
	}{
		"everything":            {[]string{line(4, ""), line(5, ""), line(9, "")}, 3, 0},
		"a match":               {[]string{prev(4, 0), prev(5, 4), prev(9, 5)}, 0, 3},
		"one of them is lost":   {[]string{prev(4, 0), prev(9, 5)}, 1, 3},
		"in another order":      {[]string{prev(9, 5), prev(4, 0), prev(5, 4)}, 0, 3},
		"twice":                 {[]string{prev(9, 5), prev(4, 0), prev(5, 4), prev(9, 5)}, 0, 3},
		"the sink began again":  {[]string{prev(4, 0), prev(9, 0), prev(11, 9)}, 0, 5},
		"what goes back":        {[]string{line(4, ""), prev(9, 12)}, 4, 0},
		"the rest from another": {[]string{prev(4, 0), prev(9, 4), line(4, ""), line(5, ""), line(6, ""), line(7, ""), line(8, ""), line(9, "")}, 0, 0},
	} {
		r := sumUp(t, tt.lines...)
		doc, _, _ := documentOf(t, r)
		if doc["skipped"] != tt.skipped || doc["left_out"] != tt.leftOut {
			t.Errorf("%s: %v skipped and %v left out, want %v and %v", name, doc["skipped"], doc["left_out"], tt.skipped, tt.leftOut)
		}
		page := string(page(r, 40, time.UTC))
		missing, notGiven := strings.Contains(page, "MISSING: "), strings.Contains(page, "not given to the sink")
		if missing != (tt.skipped > 0) || notGiven != (tt.leftOut > 0) {
			t.Errorf("%s: the page says missing %v and not given %v:\n%s", name, missing, notGiven, page)
		}
	}
}

func TestStateIsOfOneBoot(t *testing.T) {
	t.Parallel()
	const (
		started = `{"spool":"000000000000000%s","seq":1,"time":"2026-11-23T%s:00:00.000Z","event":"started","enforcing":%v,"policy_name":"p","policy_version":"%s","policy_digest":"sha256:aa","ipe_status":"active","host":"h","boot_id":"%[1]s"}`
		none    = `{"spool":"000000000000000%s","seq":1,"time":"2026-11-23T%s:00:00.000Z","event":"stopped","host":"h","boot_id":"%[1]s"}`
	)
	inForce := func(lines ...string) string {
		doc, _, _ := documentOf(t, sumUp(t, lines...))
		f := doc["in_force"].(map[string]any)
		return fmt.Sprintf("%v %v %v", f["policy"], f["active_policy_version"], f["enforcing"])
	}
	a, b := fmt.Sprintf(started, "a", "10", true, "1.0.0"), fmt.Sprintf(started, "b", "11", false, "2.0.0")
	if got := inForce(b, a); got != "active 2.0.0 false" {
		t.Errorf("of the newest boot: %s", got)
	}
	if got := inForce(a, fmt.Sprintf(none, "b", "11")); got != "unknown <nil> <nil>" {
		t.Errorf("carried over from the boot before: %s", got)
	}
}
