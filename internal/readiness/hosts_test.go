package readiness

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// askAll asks about events of many hosts, and returns the answer and its JSON form.
func askAll(t *testing.T, lines []string, o Options) (*Answer, map[string]any) {
	t.Helper()
	o.Now = now()
	h, err := eventsource.Open(context.Background(), eventsource.Options{Names: []string{"-"}, Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n")})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	o.Several = len(h.Hosts()) > 1
	c := New(o)
	for {
		ev, err := h.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			c.Fail(err)
			continue
		}
		c.Add(ev)
	}
	a := c.Answer()
	var doc map[string]any
	if err := json.Unmarshal(a.AppendJSON(nil, &Heading{}), &doc); err != nil {
		t.Fatal(err)
	}
	return a, doc
}

// TestEveryHostIsAnsweredFor gives the events of many hosts in many orders.
func TestEveryHostIsAnsweredFor(t *testing.T) {
	t.Parallel()
	logs := audittest.HostLogs(30)
	var all []string
	want := make(map[string]string)
	for _, l := range logs {
		all = append(all, l.Lines...)
		want[l.Name] = map[bool]string{true: "ready", false: "not_ready"}[l.Ready]
	}
	_, first := askAll(t, all, Options{})
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 10 {
		a, doc := askAll(t, all, Options{})
		got := make(map[string]string)
		for _, h := range doc["hosts"].([]any) {
			h := h.(map[string]any)
			got[h["host"].(string)] = h["answer"].(string)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
		if a.Verdict != NotReady || len(a.Denied) != 3 || a.Hosts.Count != [3]int{10, 20, 0} {
			t.Errorf("round %d: %v, %d kinds, %v", round, a.Verdict, len(a.Denied), a.Hosts.Count)
		}
		if diff := cmp.Diff(first, doc); diff != "" {
			t.Errorf("round %d: another answer (-first +now):\n%s", round, diff)
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
}

// TestTheWorstAnswerIsThatForAll puts hosts with each answer together.
func TestTheWorstAnswerIsThatForAll(t *testing.T) {
	t.Parallel()
	hosts := map[Verdict]string{Ready: "started stopped", NotReady: "started would stopped", CannotSay: "started lost stopped"}
	for _, tt := range []struct {
		of   []Verdict
		want Verdict
	}{
		{[]Verdict{Ready, Ready}, Ready},
		{[]Verdict{Ready, CannotSay}, CannotSay},
		{[]Verdict{CannotSay, Ready}, CannotSay},
		{[]Verdict{CannotSay, NotReady}, NotReady},
		{[]Verdict{NotReady, CannotSay, Ready}, NotReady},
	} {
		var lines []string
		for i, v := range tt.of {
			for line := range strings.SplitSeq(strings.TrimSpace(stream(hosts[v])), "\n") {
				lines = append(lines, strings.Replace(line, "{", fmt.Sprintf(`{"host":"h%d",`, i), 1))
			}
		}
		a, doc := askAll(t, lines, Options{})
		if a.Verdict != tt.want || doc["answer"] != tt.want.String() || a.Hosts.N != len(tt.of) {
			t.Errorf("%v: got %v of %d hosts, want %v", tt.of, a.Verdict, a.Hosts.N, tt.want)
		}
		for i, v := range tt.of {
			if h := doc["hosts"].([]any)[i].(map[string]any); h["answer"] != v.String() {
				t.Errorf("%v: host %d is %v", tt.of, i, h)
			}
		}
		for _, r := range a.Reasons {
			if !strings.HasPrefix(r.Text, "h") {
				t.Errorf("%v: the reason %q does not say for which host", tt.of, r.Text)
			}
		}
	}
}

// TestWhatCannotBeReadMayBeOfAnyHost is about a line that names none.
func TestWhatCannotBeReadMayBeOfAnyHost(t *testing.T) {
	t.Parallel()
	lines := []string{`{"spool":"000000000000000a","seq":2,"ev`}
	for _, host := range []string{"a", "b"} {
		for line := range strings.SplitSeq(strings.TrimSpace(stream("started stopped")), "\n") {
			lines = append(lines, strings.Replace(line, "{", `{"host":"`+host+`",`, 1))
		}
	}
	a, doc := askAll(t, lines, Options{})
	if a.Verdict != CannotSay || a.Hosts.Count != [3]int{0, 0, 2} {
		t.Errorf("%v, %v", a.Verdict, doc)
	}
}

// TestObjectsOnOtherHostsAreNotMeasuredHere asks a candidate.
func TestObjectsOnOtherHostsAreNotMeasuredHere(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse([]byte("policy_name=c policy_version=1.0.0\nDEFAULT action=DENY\nop=EXECUTE fsverity_digest=sha256:" + strings.Repeat("01", 32) + " action=ALLOW\n"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Split(strings.TrimSpace(stream("audited allowed stopped")), "\n")
	for i := range line {
		line[i] = strings.Replace(line[i], "{", `{"host":"there",`, 1)
	}
	o := Options{Candidate: p, Host: "here", Measure: func(o fileprops.Object) fileprops.Result {
		t.Errorf("%s was measured", o.Path)
		return fileprops.Result{}
	}}
	if a, _ := askAll(t, line, o); a.Verdict != CannotSay || len(a.Unknown) != 1 || !strings.Contains(a.Unknown[0].Why, "host, there") {
		t.Errorf("%v %+v", a.Verdict, a.Unknown)
	}
}

// TestRuleOfAnotherPolicyLeavesThePolicyOpen has a denial that cannot be that of
// the policy which is said to have judged.
func TestRuleOfAnotherPolicyLeavesThePolicyOpen(t *testing.T) {
	t.Parallel()
	for stands, want := range map[ipe.Bool]string{
		ipe.True: "not_ready 1", ipe.Unknown: "not_ready 1", ipe.False: "cannot_say 0 other_policy",
	} {
		a, _ := askAll(t, strings.Split(stream("started would stopped"), "\n"), Options{Stands: func(*ipe.Event) ipe.Bool { return stands }})
		if got := brief(a); got != want {
			t.Errorf("stands %v: got %s, want %s", stands, got, want)
		}
	}
}

// TestLeftOutIsNoAllClear reads what a sink with a match was given.
func TestLeftOutIsNoAllClear(t *testing.T) {
	t.Parallel()
	lines := strings.Split(stream("started - stopped"), "\n")
	if a, _ := askAll(t, lines, Options{}); brief(a) != "cannot_say 0 skipped" {
		t.Errorf("got %s", brief(a))
	}
	for i := range lines {
		lines[i] = strings.Replace(lines[i], "{", `{"prev_seq":1,`, 1)
	}
	if a, _ := askAll(t, lines, Options{}); brief(a) != "cannot_say 0 left_out" {
		t.Errorf("with a match: got %s", brief(a))
	}
}
