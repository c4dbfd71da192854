package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// read sums up what a file says.
func read(t *testing.T, names []string, stdin string) *Report {
	t.Helper()
	h, err := eventsource.Open(context.Background(), eventsource.Options{Names: names, Stdin: strings.NewReader(stdin)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r := &Report{Origin: h.Origin(), Several: len(h.Hosts()) > 1}
	for {
		ev, err := h.Next()
		if err == io.EOF {
			return r
		} else if err != nil {
			r.Fail(err)
			continue
		}
		r.Add(ev)
	}
}

// page returns the text form.
func page(r *Report, height int, zone *time.Location) []byte {
	p := text.Page{Height: height, Zone: zone}
	r.WriteTo(&p)
	return p.Bytes()
}

// whole returns the JSON form.
func whole(t *testing.T, r *Report) map[string]any {
	t.Helper()
	var doc map[string]any
	line := r.AppendJSON(nil)
	if err := json.Unmarshal(line, &doc); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if bytes.Count(line, []byte("\n")) != 1 || !utf8.Valid(line) {
		t.Errorf("not one line of UTF-8: %q", line)
	}
	return doc
}

func TestCapturesThatSwitchPolicies(t *testing.T) {
	t.Parallel()
	captures := "../../test/captures/"
	for name, want := range map[string]string{
		"6.12/off-02-activate-update-delete": "active lab 2.0.0",
		"6.12/off-04-permissive":             "active tables 2.0.0",
		"6.12/off-07-permissive-rule":        "active rules 2.0.0",
		"6.12/off-09-success-allow":          "active tables 2.0.0",
		"6.12/off-03-enforce":                "unknown",
	} {
		force := whole(t, read(t, []string{captures + name + ".nlcap"}, ""))["in_force"].(map[string]any)
		got := strings.TrimSpace(strings.ReplaceAll(fmt.Sprint(force["policy"], " ", force["active_policy_name"], " ", force["active_policy_version"]), " <nil>", ""))
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// denied returns a denial of /PATH as a line of a log.
func denied(second int, path string) string {
	return fmt.Sprintf("type=1420 audit(%d.000:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=1 comm=\"sh\" path=\"/%s\" dev=\"vda\" ino=7 rule=\"DEFAULT op=EXECUTE action=DENY\"\n", second, second, path)
}

func activated(second int, name string) string {
	return fmt.Sprintf("type=1421 audit(%d.000:%d): old_active_pol_name=? old_active_pol_version=? old_policy_digest=? new_active_pol_name=\"%s\" new_active_pol_version=1.0.0 new_policy_digest=sha256:AB auid=1 ses=1 lsm=ipe res=1\n", second, second, name)
}

func TestLossInTheMiddleMakesThePolicyUnknown(t *testing.T) {
	t.Parallel()
	lost := `{"time":"1970-01-01T00:00:12.000Z","event":"lost","count":3,"accuracy":"at_least","stage":"kernel"}` + "\n"
	r := read(t, []string{"-"}, activated(10, "p")+denied(11, "a")+lost+denied(13, "a")+denied(14, "a"))
	doc := whole(t, r)
	var got []string
	for _, d := range doc["denials"].([]any) {
		g := d.(map[string]any)
		got = append(got, fmt.Sprint(g["count"], g["path"], g["active_policy_name"], g["first"], g["last"]))
	}
	want := []string{
		"2/a<nil>1970-01-01T00:00:13.000Z1970-01-01T00:00:14.000Z",
		"1/ap1970-01-01T00:00:11.000Z1970-01-01T00:00:11.000Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("denials (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"count": 3., "accuracy": "at_least"}, doc["lost"]); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	if p := doc["in_force"].(map[string]any)["policy"]; p != "unknown" {
		t.Errorf("in force: %v", p)
	}
	if text := string(page(r, 50, time.UTC)); !strings.Contains(text, "LOST: at least 3 records") {
		t.Errorf("text: %s", text)
	}
}

func TestRepeatedCountsAsOften(t *testing.T) {
	t.Parallel()
	const keys = `"verdict":"denied","ipe_op":"EXECUTE","path":"/a","enforcing":true,"action":"DENY","active_policy_name":"p"`
	doc := whole(t, read(t, []string{"-"}, `{"spool":"000000000000000a","seq":1,"time":"2026-11-23T10:00:00.000Z","event":"access","comm":"sh",`+keys+"}\n"+
		`{"spool":"000000000000000a","time":"2026-11-23T10:00:10.000Z","event":"repeated","comm":"sh",`+keys+`,"count":41,"since":"2026-11-23T10:00:01.000Z","until":"2026-11-23T10:00:10.000Z","first_seq":2,"last_seq":42}`+"\n"+
		`{"spool":"000000000000000a","seq":43,"time":"2026-11-23T10:00:11.000Z","event":"stopped"}`+"\n"))
	groups := doc["denials"].([]any)
	g := groups[0].(map[string]any)
	if len(groups) != 1 || g["count"] != 42. || g["first"] != "2026-11-23T10:00:00.000Z" || g["last"] != "2026-11-23T10:00:10.000Z" || doc["skipped"] != 0. {
		t.Errorf("got %v, skipped %v", groups, doc["skipped"])
	}
	if n := doc["verdicts"].(map[string]any)["denied"]; n != 42. {
		t.Errorf("%v denied", n)
	}
	if comm := g["comms"].([]any)[0].(map[string]any); comm["count"] != 42. {
		t.Errorf("comms: %v", comm)
	}
}

func TestHugeCountsDoNotTurnSmall(t *testing.T) {
	t.Parallel()
	line := `{"event":"%s","count":18446744073709551615,"accuracy":"exact"}` + "\n" + `{"event":"%[1]s","count":2,"accuracy":"exact"}` + "\n"
	r := read(t, []string{"-"}, fmt.Sprintf(line, "lost")+fmt.Sprintf(line, "forged"))
	text := string(page(r, 50, time.UTC))
	for _, want := range []string{"LOST: 18446744073709551615 records", "FORGED: 18446744073709551615 messages", "LOST       18446744073709551615 records (2 times)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestTextIsOneScreen gives more of everything than a screen holds.
func TestTextIsOneScreen(t *testing.T) {
	t.Parallel()
	var in strings.Builder
	for i := range 40 {
		in.WriteString(activated(2*i, fmt.Sprint("p", i)) + denied(2*i+1, "a"))
	}
	r := read(t, []string{"-"}, in.String())
	for height, want := range map[int]int{0: minHeight, 24: 24, 60: 60, 500: 5 + 40 + 2 + 120} {
		text := string(page(r, height, time.UTC))
		if got := strings.Count(text, "\n"); got > want || got < want-4 {
			t.Errorf("height %d: %d lines, want %d at most:\n%s", height, got, want, text)
		}
		if more := strings.Contains(text, " more with "); more != (height < 500) {
			t.Errorf("height %d: says that there is more: %v", height, more)
		}
	}
}

// TestTimelineIsBounded lets somebody fail to load policies for days.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	r := &Report{}
	failed := func(errno int64, at int64) {
		r.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindPolicyLoad, Type: 1422, Res: ipe.False, Errno: errno, Has: ipe.HasErrno | ipe.HasStamp, Time: at}})
	}
	for i := range int64(100_000) {
		failed(-17, i)
	}
	if n := len(r.timeline.host.list); n != 1 || r.timeline.host.list[0].times != 100_000 || r.timeline.host.list[0].last != 99_999 {
		t.Fatalf("%d items, the first %+v", n, r.timeline.host.list[0])
	}
	for i := range int64(5000) {
		failed(-i, i)
	}
	if n := len(r.timeline.host.list); n != maxItems || r.timeline.givenUp != 100_000+5000-maxItems {
		t.Errorf("%d items, %d events given up", n, r.timeline.givenUp)
	}
	doc := whole(t, r)
	if n := doc["given_up"].(map[string]any)["timeline"]; n != float64(104_000) {
		t.Errorf("the report says that %v were given up", n)
	}
}

// TestNothingRawReachesTheTerminal names everything as an attacker would.
func TestNothingRawReachesTheTerminal(t *testing.T) {
	t.Parallel()
	evil := []byte("\x1b[2J\r\n\u202e\u009b\xff \"")
	p := ipe.Policy{Name: evil, Version: evil, Digest: bytes.Repeat([]byte("é\x1b"), 20)}
	r := &Report{Origin: string(evil)}
	for k := ipe.Kind(0); k.String() != ""; k++ {
		r.Add(&eventsource.Event{Event: ipe.Event{
			Kind: k, Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny, Op: evil, Hook: evil, Comm: evil, Path: evil, Dev: evil, Rule: evil,
			RuleProperties: [][]byte{evil}, ActivePolicy: p, Policy: p, OldPolicy: p, LSM: evil, Raw: evil, Stage: evil,
			Version: evil, Kernel: evil, IPEStatus: evil,
		}})
	}
	r.host.inForce.Known, r.host.inForce.Active, r.host.inForce.Policy = true, true, p
	r.Fail(errors.New(string(evil)))
	for _, c := range string(page(r, 100, time.UTC)) {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("%q in the text", c)
		}
	}
	for _, c := range string(r.AppendJSON(nil)) {
		if c != '\n' && unicode.IsControl(c) {
			t.Errorf("%q in the JSON", c)
		}
	}
	group := whole(t, r)["denials"].([]any)[0].(map[string]any)
	if hex := fmt.Sprintf("%X", evil); group["path_hex"] != hex || group["comms"].([]any)[0].(map[string]any)["comm_hex"] != hex {
		t.Errorf("the bytes cannot be got back from %v", group)
	}
}

func TestTimelineFoldsOnlyWhatChangesNothing(t *testing.T) {
	t.Parallel()
	lost := eventsource.Event{Event: ipe.Event{Kind: ipe.KindLost, Has: ipe.HasCount, Count: 2, Stage: []byte("socket")}}
	forged := eventsource.Event{Event: ipe.Event{Kind: ipe.KindForged, Has: ipe.HasCount, Count: 1}}
	switched := eventsource.Event{Event: ipe.Event{Kind: ipe.KindEnforcement, Enforcing: ipe.True}}
	var tl timeline
	for _, ev := range []*eventsource.Event{&lost, &forged, &lost, &forged, &switched, &lost, &switched} {
		tl.add(ev)
	}
	var got []string
	for _, it := range tl.host.list {
		got = append(got, fmt.Sprint(it.event.Kind, it.times, it.event.Count))
	}
	if diff := cmp.Diff([]string{"lost 2 4", "forged 2 2", "enforcement 1 0", "lost 1 2", "enforcement 1 0"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestHeartbeatsAreNoNewsButTellWhatIsInForce(t *testing.T) {
	t.Parallel()
	const beat = `{"spool":"0000000000000001","seq":%d,"time":"2026-11-23T%02d:00:00.000Z","event":"heartbeat","enforcing":true,"policy_name":"p","policy_version":"1.0.0","policy_digest":"sha256:aa","denied":1,"would_deny":0,"allowed":0,"lost":0,"version":"1","ipe_status":"active","host":"h","boot_id":"b"}` + "\n"
	var lines strings.Builder
	for i := range 10 {
		fmt.Fprintf(&lines, beat, i+1, i+1)
	}
	doc := whole(t, read(t, []string{"-"}, lines.String()))
	if n := len(doc["timeline"].([]any)); n != 0 {
		t.Errorf("%d entries in the timeline, want none: %v", n, doc["timeline"])
	}
	force := doc["in_force"].(map[string]any)
	if force["active_policy_name"] != "p" || force["enforcing"] != true {
		t.Errorf("in force is %v", force)
	}
	if doc["events"] != 10.0 || doc["last"] != "2026-11-23T10:00:00.000Z" {
		t.Errorf("%v events, the last at %v", doc["events"], doc["last"])
	}
}

func TestTimelineNamesTheSinkThatWasRefused(t *testing.T) {
	t.Parallel()
	refused := func(sink string) *eventsource.Event {
		return &eventsource.Event{Event: ipe.Event{
			Kind: ipe.KindLost, Has: ipe.HasCount, Count: 1, Accuracy: ipe.AccuracyExact, Stage: []byte(ipe.StageSink), Sink: []byte(sink),
		}}
	}
	var tl timeline
	for _, sink := range []string{"siem", "other", "siem"} {
		tl.add(refused(sink))
	}
	var got []string
	for _, it := range tl.host.list {
		got = append(got, fmt.Sprintf("%s %d", it.event.Sink, it.times))
	}
	if diff := cmp.Diff([]string{"siem 2", "other 1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTimelineSaysWhatChangedInAudit(t *testing.T) {
	t.Parallel()
	ev := ipe.Event{
		Kind: ipe.KindAuditConfig, Has: ipe.HasUID, UID: 0, Comm: []byte("auditctl"), Source: []byte(ipe.SourceBackfill),
		What: []byte("backlog_limit"), Old: []byte("8192"), New: []byte("64"), Effect: []byte("less room"),
	}
	var tl timeline
	tl.add(&eventsource.Event{Event: ev})
	want := string(format.AppendText(nil, &ev, &format.Context{}))
	got := string(format.AppendText(nil, &tl.host.list[0].event, &format.Context{}))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got, "backlog_limit from 8192 to 64: less room comm=auditctl") {
		t.Error(got)
	}
}

func TestTimelineIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	var tl timeline
	for i := range 20 {
		name := append(bytes.Repeat([]byte("x"), 1<<20), fmt.Sprint(i)...)
		tl.add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindPolicyActivate, Policy: ipe.Policy{Name: name}}})
	}
	if len(tl.host.list) > maxItemBytes>>21 || tl.givenUp != 20-uint64(len(tl.host.list)) {
		t.Errorf("%d items, %d given up", len(tl.host.list), tl.givenUp)
	}
}
