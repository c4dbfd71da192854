package suggest

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// TestDenialsAreOneForEachObject counts what is denied at several hooks, in both
// modes and by several commands together, and keeps different files apart.
func TestDenialsAreOneForEachObject(t *testing.T) {
	t.Parallel()
	c := Collector{Host: "here"}
	here, elsewhere := &eventsource.Host{Skipped: 4, LeftOut: 5, Shared: 9}, &eventsource.Host{Skipped: 60, Unnumbered: true}
	var d ipe.Decoder
	add := func(host, text string) {
		var ev eventsource.Event
		d.Decode(&ev.Event, ipe.TypeAccess, []byte(text))
		if host != "" {
			ev.Host = []byte(host)
		}
		c.Add(&ev)
	}
	const deny = ` rule="DEFAULT op=EXECUTE action=DENY"`
	add("", `audit(2.000:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=7 comm="a" path="/x" dev="vda" ino=3`+deny)
	add("here", `audit(1.000:2): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=8 comm="b" path="/x" dev="vda" ino=3`+deny)
	add("here", `audit(1.000:2): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=8 comm="b" path="/x" dev="vda" ino=3`+deny)
	add("", `audit(3.000:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm="a" path="/x" dev="vda" ino=4`+deny)
	add("", `audit(2.500:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=9 comm="a" path="/x" dev="vda" ino=4 rule="op=EXECUTE boot_verified=FALSE action=DENY"`)
	for _, comm := range []string{"b", "c", "d", "e", "f"} {
		add("", `audit(2.500:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=9 comm="`+comm+`" path="/x" dev="vda" ino=4 rule="op=EXECUTE boot_verified=FALSE action=DENY"`)
	}
	add("", `audit(3.000:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm="a" path=? dev=? ino=?`+deny)
	add("", `audit(4.000:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm="a" path="/y" dev="vda" ino=5 rule="op=EXECUTE action=ALLOW"`)
	add("there", `audit(3.000:1): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm="a" path="/x" dev="vda" ino=4`+deny)
	add("", `audit(5.000:1): ipe_op=EXECUTE ipe_hook=MMAP`)
	for _, n := range []uint64{0, 3} { // of 0, the spool only says that it is in memory
		c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindLost, Count: n, Has: ipe.HasCount}})
	}
	c.Add(&eventsource.Event{Event: ipe.Event{ // as a sink sums them up
		Kind: ipe.KindRepeated, Op: []byte("EXECUTE"), Hook: []byte("MMAP"), Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny,
		Rule: []byte("DEFAULT op=EXECUTE action=DENY"), RuleKind: ipe.RuleOpDefault, Time: 4000, Count: 40, Has: ipe.HasCount | ipe.HasStamp,
		Enforcing: ipe.True,
	}})
	c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindLost, Count: 1, Has: ipe.HasCount, Stage: []byte(ipe.StageSink)}}) // the spool has it
	for range 2 {
		c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStopped}, On: elsewhere, Host: []byte("there")})
	}
	for range 2 {
		c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStopped}, On: here, Host: []byte("here")})
	}
	c.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStopped}, On: &eventsource.Host{Shared: 7, Unnumbered: true}})
	c.Fail(errors.New("damaged"))

	want := []Denial{
		{
			Op: "EXECUTE", Named: true, Hooks: []string{"MMAP"}, Denied: 41, Since: 3000, Comms: []string{"a"}, Others: true,
			Object: fileprops.Object{NoFile: true, PID: 7, Time: 4000},
		},
		{
			Op: "EXECUTE", Named: true, Hooks: []string{"BPRM_CHECK", "MMAP"}, Denied: 2, WouldDeny: 1, Since: 1000, Comms: []string{"b", "a"},
			Object: fileprops.Object{Path: "/x", Dev: "vda", Ino: 3, PID: 7, Time: 2000},
		},
		{
			Op: "EXECUTE", Named: true, Hooks: []string{"MMAP"}, Denied: 1, WouldDeny: 6, Since: 2500, Comms: []string{"a", "b", "c", "d", "e"}, Others: true,
			Object: fileprops.Object{
				Path: "/x", Dev: "vda", Ino: 4, PID: 7, Time: 3000, Held: []policy.Property{{Key: policy.BootVerified}},
			},
		},
	}
	if diff := cmp.Diff(want, c.Denials()); diff != "" {
		t.Errorf("denials (-want +got):\n%s", diff)
	}
	gaps := []string{
		`Denials on other hosts, such as there: 1. Run suggest there.`,
		"Events that tell of losses: 1. What was lost cannot be known.",
		"Events missing by their sequence numbers: 4.",
		"Events missing by the sequence numbers, of this host or of others that have the same spool: 7.",
		"Whether events are missing is not known: there are too many sequence numbers to tell.",
		"Events that the sink did not get, by its match: 5.",
		"Records that cannot be read: 1.",
		"Files that could not be read to their end: 1.",
	}
	if diff := cmp.Diff(gaps, c.Gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
}
