package readiness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// stream returns the events of the words, an hour apart; the last is from an
// hour before now.
func stream(words string) string {
	const access = `"event":"access","dialect":"mainline","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"sh","pid":1,`
	lines := map[string]string{
		"started":    `"event":"started","ipe_status":"active","enforcing":false,"success_audit":false,"policy_name":"p","policy_version":"1.0.0","policy_digest":"sha256:aa"`,
		"audited":    `"event":"started","ipe_status":"active","enforcing":false,"success_audit":true,"policy_name":"p","policy_version":"1.0.0","policy_digest":"sha256:aa"`,
		"enforced":   `"event":"started","ipe_status":"active","enforcing":true,"success_audit":true,"policy_name":"p","policy_version":"1.0.0","policy_digest":"sha256:aa"`,
		"unreadable": `"event":"started","ipe_status":"unreadable"`,
		"none":       `"event":"started","ipe_status":"no_policy","enforcing":true`,
		"stopped":    `"event":"stopped"`,
		"activate":   `"event":"policy_activate","type":1421,"serial":1,"policy_name":"q","policy_version":"2.0.0","policy_digest":"sha256:bb","res":true`,
		"again":      `"event":"policy_activate","type":1421,"serial":1,"policy_name":"p","policy_version":"1.0.0","policy_digest":"sha256:aa","res":true`,
		"off":        `"event":"enforcement","type":1404,"serial":1,"enforcing":false,"old_enforcing":true`,
		"allowed":    access + `"verdict":"allowed","action":"ALLOW","path":"/bin/ok","dev":"vda","ino":1,"enforcing":false,"rule_kind":"rule","rule":"op=EXECUTE boot_verified=TRUE action=ALLOW","rule_properties":["boot_verified=TRUE"]`,
		"would":      access + `"verdict":"would_deny","action":"DENY","path":"/bin/bad","dev":"vda","ino":2,"enforcing":false,"rule_kind":"op_default","rule":"DEFAULT op=EXECUTE action=DENY"`,
		"denied":     access + `"verdict":"denied","action":"DENY","path":"/bin/bad","dev":"vda","ino":2,"enforcing":true`,
		"vague":      access + `"verdict":"unknown","action":"DENY","path":"/bin/bad","dev":"vda","ino":2`,
		"anonymous":  access + `"verdict":"allowed","action":"ALLOW","enforcing":false`,
		"lost":       `"event":"lost","count":3,"accuracy":"exact","stage":"socket"`,
		"memory":     `"event":"lost","count":0,"accuracy":"exact","stage":"memory"`,
		"uncounted":  `"event":"lost","accuracy":"unknown","stage":"kernel"`,
		"unparsed":   `"event":"unparsed","type":1420,"serial":1,"raw":"x"`,
		"later":      `"event":"of another release"`,
	}
	list := strings.Fields(words)
	var b strings.Builder
	for i, word := range list {
		if word == "-" {
			continue // an entry that is missing
		}
		line, ok := lines[word]
		if !ok {
			panic(word)
		}
		at := now().Add(time.Duration(i-len(list)) * time.Hour)
		fmt.Fprintf(&b, `{"spool":"000000000000000a","seq":%d,"time":"%s",%s}`+"\n", i+1, at.Format(time.RFC3339), line)
	}
	return b.String()
}

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// ask asks of text as the events of a file, or of a daemon that listens.
func ask(t *testing.T, text string, o Options, live ...bool) *Answer {
	t.Helper()
	o.Now = now()
	h, err := eventsource.Open(context.Background(), eventsource.Options{Names: []string{"-"}, Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, host := range h.Hosts() {
		host.Live = slices.Contains(live, true)
	}
	c := New(o)
	for {
		ev, err := h.Next()
		if err == io.EOF {
			return c.Answer()
		} else if err != nil {
			c.Fail(err)
			continue
		}
		c.Add(ev)
	}
}

// brief is the verdict, how many kinds would be denied, and the reasons.
func brief(a *Answer) string {
	text := fmt.Sprintf("%v %d", a.Verdict, len(a.Denied))
	for _, r := range a.Reasons {
		text += " " + r.Key
	}
	return text
}

// page returns the text form.
func page(a *Answer, h *Heading, height int, zone *time.Location) []byte {
	p := text.Page{Height: height, Zone: zone}
	a.WriteTo(&p, h)
	return p.Bytes()
}

func hours(n int) time.Time { return now().Add(-time.Duration(n) * time.Hour) }

func TestByThePolicyInForce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		events string
		since  time.Time
		live   bool
		want   string
	}{
		{"", time.Time{}, false, "cannot_say 0 nothing_observed"},
		{"started", time.Time{}, false, "cannot_say 0 nothing_observed"},
		{"started", time.Time{}, true, "ready 0"},
		{"started", hours(1), true, "ready 0"},
		{"started", hours(2), true, "cannot_say 0 not_long_enough"},
		{"started stopped", time.Time{}, false, "ready 0"},
		{"started stopped", hours(1), false, "cannot_say 0 nothing_observed"},
		{"started stopped started", hours(3), true, "cannot_say 0 not_long_enough"},
		{"started started", hours(2), true, "cannot_say 0 not_long_enough"},
		{"started allowed stopped started", hours(3), true, "cannot_say 0 not_long_enough"},
		{"unreadable", time.Time{}, true, "cannot_say 0 nothing_observed"},
		{"unreadable allowed", hours(1), true, "ready 0"},
		{"unreadable allowed", hours(2), true, "cannot_say 0 not_long_enough"},
		{"none", time.Time{}, true, "cannot_say 0 no_policy nothing_observed"},
		{"none activate off", hours(1), true, "ready 0"},
		{"none activate", time.Time{}, true, "ready 0"},
		{"enforced", hours(1), true, "ready 0"},
		{"would", time.Time{}, false, "not_ready 1"},
		{"denied", time.Time{}, false, "not_ready 1"},
		{"vague", time.Time{}, false, "not_ready 1"},
		{"would would denied", time.Time{}, false, "not_ready 2"},
		{"allowed", time.Time{}, false, "ready 0"},
		{"started would activate", time.Time{}, true, "ready 0"},
		{"started would activate", hours(3), true, "cannot_say 0 not_long_enough"},
		{"started would activate would", time.Time{}, true, "not_ready 1"},
		{"started would activate again", time.Time{}, true, "not_ready 1"},
		{"would activate off", time.Time{}, true, "ready 0"},
		{"unreadable would started", time.Time{}, true, "not_ready 1"},
		{"started would allowed", hours(1), true, "ready 0"},
		{"started lost", time.Time{}, true, "cannot_say 0 lost"},
		{"started uncounted", time.Time{}, true, "cannot_say 0 lost"},
		{"started memory", time.Time{}, true, "ready 0"},
		{"started lost allowed", hours(1), true, "ready 0"},
		{"started lost would", time.Time{}, true, "not_ready 1 lost"},
		{"started would lost", time.Time{}, true, "not_ready 1 lost"},
		{"started - allowed", time.Time{}, true, "cannot_say 0 skipped"},
		{"started unparsed", time.Time{}, true, "cannot_say 0 unreadable"},
		{"started later", time.Time{}, true, "cannot_say 0 unreadable"},
	} {
		got := brief(ask(t, stream(tt.events), Options{Since: tt.since}, tt.live))
		if got != tt.want {
			t.Errorf("%q since %v, live %v: got %s, want %s", tt.events, tt.since, tt.live, got, tt.want)
		}
	}
}

// facts knows that /bin/ok has a digest, and nothing of others.
func facts(o fileprops.Object) (r fileprops.Result) {
	if o.NoFile {
		r.Facts = policy.NoFile()
	}
	if o.Path == "/bin/ok" {
		r.Facts.FSVerityDigest = policy.DigestFact{Has: policy.True, Digest: policy.Digest{Algorithm: "sha256", Sum: bytes.Repeat([]byte{1}, 32)}}
	}
	for _, p := range o.Held {
		r.Facts.Learn(p)
	}
	return r
}

func TestPolicyThatWasInForceLastIsNotCalledInForce(t *testing.T) {
	t.Parallel()
	for events, want := range map[string]string{
		"started would":      "judged by: the policy in force, p 1.0.0",
		"started would none": "judged by: the policy that was in force last, p 1.0.0",
	} {
		a := ask(t, stream(events), Options{}, true)
		if got := string(page(a, &Heading{Origin: "x"}, 0, time.UTC)); !strings.Contains(got, want) {
			t.Errorf("%s: want %q in\n%s", events, want, got)
		}
	}
}

func TestByACandidate(t *testing.T) {
	t.Parallel()
	const header = "policy_name=c policy_version=1.0.0\nDEFAULT action=DENY\n"
	digest := "op=EXECUTE fsverity_digest=sha256:" + strings.Repeat("01", 32) + " action=ALLOW\n"
	candidates := map[string]string{
		"all":    "policy_name=c policy_version=1.0.0\nDEFAULT action=ALLOW\n",
		"none":   header,
		"digest": header + digest,
		"boot":   header + "op=EXECUTE boot_verified=TRUE action=ALLOW\n",
	}
	for _, tt := range []struct {
		candidate, events, want string
	}{
		{"all", "audited allowed", "ready 0"},
		{"all", "audited would", "ready 0"},
		{"all", "started allowed", "cannot_say 0 success_audit"},
		{"all", "started would", "cannot_say 0 success_audit"},
		{"all", "would", "cannot_say 0 success_audit"},
		{"all", "would allowed", "ready 0"},
		{"all", "enforced denied", "cannot_say 0 not_seen"},
		{"all", "audited", "cannot_say 0 nothing_observed"},
		{"all", "audited allowed activate would", "ready 0"},
		{"none", "audited allowed", "not_ready 1"},
		{"none", "started would", "not_ready 1 success_audit"},
		{"none", "audited would activate would again denied", "not_ready 1 not_seen"},
		{"digest", "audited allowed", "ready 0"},
		{"digest", "audited anonymous", "not_ready 1"},
		{"digest", "audited would", "cannot_say 0 unknown_objects"},
		{"digest", "audited allowed would anonymous", "not_ready 1 unknown_objects"},
		{"boot", "audited allowed", "ready 0"}, // the rule that matched tells that it is
		{"boot", "audited anonymous", "not_ready 1"},
	} {
		p, err := policy.Parse([]byte(candidates[tt.candidate]))
		if err != nil {
			t.Fatal(err)
		}
		got := brief(ask(t, stream(tt.events), Options{Candidate: p, Measure: facts}, true))
		if got != tt.want {
			t.Errorf("%s, %q: got %s, want %s", tt.candidate, tt.events, got, tt.want)
		}
	}
}

func TestRepeatedJudgementsAreOneKindForACandidate(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse([]byte("policy_name=c policy_version=1.0.0\nDEFAULT action=DENY\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, stream("audited would activate would off would"), Options{Candidate: p, Measure: facts})
	if len(a.Denied) != 1 || a.Denied[0].Count != 3 || a.Denied[0].Rule.Line != 2 {
		t.Errorf("got %+v", a.Denied)
	}
}

func TestSourceThatEndsTooEarlyIsAReason(t *testing.T) {
	t.Parallel()
	c := New(Options{Now: now()})
	c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictAllowed, Action: ipe.ActionAllow}})
	c.Fail(errors.New("cut off"))
	if got := brief(c.Answer()); got != "cannot_say 0 source" {
		t.Errorf("got %s", got)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\u009b\xff"
	p, err := policy.Parse([]byte("policy_name=c\x1b policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE boot_verified=TRUE action=ALLOW\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := ask(t, stream("audited would anonymous lost"), Options{Since: hours(9), Candidate: p, Measure: facts})
	for i := range 100 {
		a.Unknown = append(a.Unknown, Finding{Group: a.Denied[0].Group, Why: fmt.Sprint(evil, i)})
	}
	a.Reasons = append(a.Reasons, Reason{"source", evil})
	h := &Heading{Origin: evil, Since: hours(9), Candidate: evil, Name: p.Name, Version: p.Version.String()}
	text, doc := page(a, h, 40, time.UTC), a.AppendJSON(nil, h)
	for _, c := range string(text) {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("%q in the text", c)
		}
	}
	for _, c := range string(doc) {
		if c != '\n' && unicode.IsControl(c) {
			t.Errorf("%q in the JSON", c)
		}
	}
	if n := bytes.Count(text, []byte("\n")); n > 44 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	var got struct {
		Answer   string
		Policy   map[string]any
		Observed map[string]int
		Denied   []map[string]any
		Unknown  []map[string]any
		Reasons  []map[string]string
	}
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if got.Answer != "not_ready" || got.Policy["candidate"] != true || len(got.Unknown) != 101 || got.Denied[0]["candidate_line"] != 2. {
		t.Errorf("%s", doc)
	}
	if diff := cmp.Diff(map[string]int{"permissive_seconds": 3 * 3600, "enforcing_seconds": 0, "wanted_seconds": 9 * 3600}, got.Observed); diff != "" {
		t.Error(diff)
	}
	var keys []string
	for _, r := range got.Reasons {
		keys = append(keys, r["reason"])
	}
	if diff := cmp.Diff([]string{"not_long_enough", "lost", "unknown_objects", "source"}, keys); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	t.Parallel()
	var h held
	ev := ipe.Event{Kind: ipe.KindAccess, RuleKind: ipe.RuleExplicit, Path: []byte("/a")}
	for i := range 2 * maxProperties {
		ev.RuleProperties = [][]byte{fmt.Appendf(nil, "fsverity_digest=sha256:%064x", i)}
		h.learn(&ev)
		h.learn(&ev)
	}
	if n := len(h.of(&ev)); n != maxProperties {
		t.Errorf("%d properties of one object", n)
	}
	for i := range maxObjects + 10 {
		ev.Path = fmt.Appendf(nil, "/%d", i)
		h.learn(&ev)
	}
	if len(h.byObject) != maxObjects {
		t.Errorf("%d objects", len(h.byObject))
	}
	h = held{}
	ev.RuleProperties = [][]byte{append([]byte("fsverity_digest=sha256:"), bytes.Repeat([]byte("a"), 1<<20)...)}
	for i := range 20 {
		ev.Path = fmt.Appendf(nil, "/%d", i)
		h.learn(&ev)
	}
	if n := len(h.byObject); n == 0 || n > maxHeld>>20 {
		t.Errorf("%d objects with 1 MiB each", n)
	}
}

func TestOnlyTimeThatWasWatchedCounts(t *testing.T) {
	t.Parallel()
	all, err := policy.Parse([]byte("policy_name=c policy_version=1.0.0\nDEFAULT action=ALLOW\n"))
	if err != nil {
		t.Fatal(err)
	}
	future := `{"spool":"000000000000000a","seq":9,"time":"2200-01-01T00:00:00Z","event":"forged","count":1}` + "\n"
	for _, tt := range []struct {
		events string
		o      Options
		live   bool
		want   Observed
	}{
		{stream("started allowed"), Options{}, true, Observed{Permissive: 2 * time.Hour}},
		{stream("started allowed"), Options{}, false, Observed{Permissive: time.Hour}},
		{stream("started allowed") + future, Options{}, false, Observed{Permissive: time.Hour}},
		{stream("enforced off allowed"), Options{}, false, Observed{Permissive: time.Hour, Enforcing: time.Hour}},
		{stream("none activate allowed"), Options{Candidate: all, Measure: facts}, false, Observed{Enforcing: time.Hour}},
		{stream("started lost allowed"), Options{}, true, Observed{Permissive: 2 * time.Hour}},
	} {
		if got := ask(t, tt.events, tt.o, tt.live).Observed; got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.events, got, tt.want)
		}
	}
	// What the kernel does not load allows nothing.
	tooLarge := Options{Candidate: all, TooLarge: policy.CheckSize(1 << 17), Measure: facts}
	if got := brief(ask(t, stream("audited allowed stopped"), tooLarge)); got != "cannot_say 0 too_large" {
		t.Errorf("a candidate that is too large: %s", got)
	}
	// It was off until somewhere before the access.
	a := ask(t, stream("started allowed"), Options{Since: hours(1), Candidate: all, Measure: facts})
	if got := brief(a); got != "cannot_say 0 not_long_enough success_audit" {
		t.Errorf("switched on: %s", got)
	}
}
