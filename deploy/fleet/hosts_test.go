package fleet

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const (
	hosts  = 1000
	old    = 900 // hosts from there on have the policy of last month
	silent = 970 // and those from there on say nothing in the second hour
)

// sample is two hours of a fleet, and what it comes to.
type sample struct {
	begin, since time.Time // since is an hour later
	events       []sampled // each twice, in no order
	want         map[string][]string
}

type sampled struct {
	event ipe.Event
	id    format.Identity
}

func hostName(i int) string   { return fmt.Sprintf("host-%04d", i) }
func isPermissive(i int) bool { return i%20 == 7 }
func version(i int) string    { return map[bool]string{true: "2.0.0", false: "1.0.0"}[i < old] }
func spoolID(i int) uint64    { return 0xabc0000000000000 + uint64(i/2) } // two clones have one
func policy(v string) (p ipe.Policy) {
	return ipe.Policy{Name: []byte("lab"), Version: []byte(v), Digest: []byte("sha256:" + v)}
}

// newSample makes one that ends now: engines do not take what is too old.
func newSample() *sample {
	s := &sample{begin: time.Now().Add(-2 * time.Hour).Truncate(time.Millisecond).UTC()}
	s.since = s.begin.Add(time.Hour)
	s.want = map[string][]string{
		"policies": {fmt.Sprintf("lab|2.0.0|%d", old), fmt.Sprintf("lab|1.0.0|%d", hosts-old)},
		"losses":   {hostName(10) + "|7|2", hostName(11) + "|5|1", hostName(12) + "|0|1"},
		"holes":    {hostName(20) + "|1"},
	}
	wouldDeny, newKind := 0, 0
	for i := range hosts {
		seq := uint64(0)
		add := func(after time.Duration, ev ipe.Event) {
			seq++
			ev.Has |= ipe.HasStamp
			ev.Time = s.begin.Add(after).UnixMilli()
			if i == 20 && seq == 3 {
				return // it did not arrive
			}
			s.events = append(s.events, sampled{ev, format.Identity{Spool: spoolID(i), Seq: seq, Host: []byte(hostName(i)), BootID: []byte("b")}})
		}
		access := func(after time.Duration, v ipe.Verdict, path string) {
			add(after, ipe.Event{
				Kind: ipe.KindAccess, Dialect: ipe.DialectMainline, Type: ipe.TypeAccess, Verdict: v, Action: ipe.ActionDeny,
				Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Path: []byte(path), Rule: []byte("DEFAULT action=DENY"), Comm: []byte("x\x00y"),
			})
		}
		add(0, ipe.Event{Kind: ipe.KindStarted, Policy: policy("1.0.0"), IPEStatus: []byte("active"), Enforcing: ipe.True})
		if i < 300 {
			access(10*time.Minute, ipe.VerdictDenied, "/opt/known")
		}
		if i < old {
			add(20*time.Minute, ipe.Event{Kind: ipe.KindPolicyActivate, Policy: policy("2.0.0"), OldPolicy: policy("1.0.0")})
		}
		if isPermissive(i) {
			add(30*time.Minute, ipe.Event{Kind: ipe.KindEnforcement, Enforcing: ipe.False, OldEnforcing: ipe.True})
			s.want["permissive"] = append(s.want["permissive"], hostName(i))
		}
		if i >= silent {
			s.want["silent"] = append(s.want["silent"], hostName(i))
			continue
		}
		if isPermissive(i) {
			wouldDeny++
			access(70*time.Minute, ipe.VerdictWouldDeny, `/opt/"w`)
		}
		if i < 300 {
			access(80*time.Minute, ipe.VerdictDenied, "/opt/known")
		}
		if i < 35 {
			newKind++
			access(90*time.Minute, ipe.VerdictDenied, "/tmp/new")
			access(91*time.Minute, ipe.VerdictDenied, "/tmp/new")
		}
		if i == 3 {
			access(92*time.Minute, ipe.VerdictDenied, `/tmp/odd \u0000 \`)
		}
		lost := func(has ipe.Has, n uint64, stage string) {
			add(93*time.Minute, ipe.Event{Kind: ipe.KindLost, Has: has, Count: n, Accuracy: ipe.AccuracyAtLeast, Stage: []byte(stage)})
		}
		switch i {
		case 10:
			lost(ipe.HasCount, 5, ipe.StageKernel)
			lost(ipe.HasCount, 2, ipe.StageSocket)
		case 11:
			lost(ipe.HasCount, 5, ipe.StageKernel)
			lost(ipe.HasCount, 0, ipe.StageMemory)
		case 12:
			lost(0, 0, ipe.StageKernel)
		}
		add(100*time.Minute, ipe.Event{Kind: ipe.KindHeartbeat, Policy: policy(version(i)), IPEStatus: []byte("active"), Enforcing: ipe.BoolOf(!isPermissive(i)), Has: ipe.HasTotals})
	}
	s.want["would_deny"] = []string{fmt.Sprintf(`EXECUTE|BPRM_CHECK|/opt/"w|DEFAULT action=DENY|%d|%[1]d`, wouldDeny)}
	s.want["new_denials"] = []string{
		fmt.Sprintf("EXECUTE|BPRM_CHECK|/tmp/new|DEFAULT action=DENY|%d|%d", newKind, 2*newKind),
		`EXECUTE|BPRM_CHECK|/tmp/odd \u0000 \|DEFAULT action=DENY|1|1`,
	}
	s.events = append(s.events, slices.Clone(s.events)...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(s.events), func(i, j int) { s.events[i], s.events[j] = s.events[j], s.events[i] })
	return s
}

// appendAll appends every event in a form.
func (s *sample) appendAll(dst []byte, f format.Func) []byte {
	for i := range s.events {
		dst = f(dst, &s.events[i].event, &format.Context{Identity: s.events[i].id, Received: s.events[i].event.Time * 1e6})
	}
	return dst
}
