package activepolicy_test

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// A step of a stream, and the policy that is known behind it; "" for none.
type step struct {
	do   func(*activepolicy.Tracker) *ipe.Policy
	want string
}

func policy(name string) ipe.Policy {
	if name == "" {
		return ipe.Policy{}
	}
	return ipe.Policy{Name: []byte(name), Version: []byte("1.0.0"), Digest: []byte("sha256:00")}
}

func observe(ev ipe.Event) func(*activepolicy.Tracker) *ipe.Policy {
	return func(t *activepolicy.Tracker) *ipe.Policy { return t.Observe(&ev) }
}

func tell(f func(*activepolicy.Tracker)) func(*activepolicy.Tracker) *ipe.Policy {
	return func(t *activepolicy.Tracker) *ipe.Policy {
		f(t)
		return t.Observe(&ipe.Event{Kind: ipe.KindStopped}) // which changes nothing
	}
}

// access is judged at the time in milliseconds, with that serial.
func access(at int64, serial uint64, want string) step {
	return step{observe(ipe.Event{Kind: ipe.KindAccess, Type: ipe.TypeAccess, Has: ipe.HasStamp, Time: at, Serial: serial}), want}
}

func activate(at int64, serial uint64, from, to, want string) step {
	return step{observe(ipe.Event{
		Kind: ipe.KindPolicyActivate, Type: ipe.TypeConfigChange, Has: ipe.HasStamp, Time: at, Serial: serial,
		OldPolicy: policy(from), Policy: policy(to), Res: ipe.True,
	}), want}
}

func other(kind ipe.Kind, typ uint16, p, want string) step {
	return step{observe(ipe.Event{Kind: kind, Type: typ, Has: ipe.HasStamp, Time: 1, Policy: policy(p)}), want}
}

func started(at int64, status, p, want string) step {
	return step{observe(ipe.Event{Kind: ipe.KindStarted, Has: ipe.HasStamp, Time: at, IPEStatus: []byte(status), Policy: policy(p)}), want}
}

func heartbeat(at int64, status, p, want string) step {
	return step{observe(ipe.Event{Kind: ipe.KindHeartbeat, Has: ipe.HasStamp, Time: at, IPEStatus: []byte(status), Policy: policy(p)}), want}
}

func lost(until int64, stage string, count uint64, want string) step {
	return step{observe(ipe.Event{
		Kind: ipe.KindLost, Has: ipe.HasStamp | ipe.HasUntil | ipe.HasCount, Time: until + 900, Until: until,
		Stage: []byte(stage), Count: count, Accuracy: ipe.AccuracyExact,
	}), want}
}

func noticed(at int64, want string) step {
	return step{tell(func(t *activepolicy.Tracker) { t.Lost(at) }), want}
}

func read(name string, at int64, want string) step {
	return step{tell(func(t *activepolicy.Tracker) {
		if p := policy(name); name != "" {
			t.SetSnapshot(&p, at)
		} else {
			t.SetSnapshot(nil, at)
		}
	}), want}
}

func says(p, want string) step {
	return step{observe(ipe.Event{Kind: ipe.KindAccess, ActivePolicy: policy(p)}), want}
}

func TestTrackerKnowsThePolicyInForce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		steps []step
	}{
		{"nothing is known before the first evidence", []step{
			access(10, 1, ""), other(ipe.KindPolicyLoad, 1422, "lab", ""), access(20, 3, ""),
		}},
		{"activations tell it", []step{
			activate(10, 1, "", "lab", "lab"), access(10, 2, "lab"),
			other(ipe.KindPolicyLoad, 1422, "next", "lab"), other(ipe.KindEnforcement, 1404, "", "lab"),
			activate(20, 4, "lab", "next", "next"), access(30, 5, "next"),
		}},
		{"an activation that failed changes nothing", []step{
			activate(10, 1, "", "lab", "lab"),
			{observe(ipe.Event{Kind: ipe.KindPolicyActivate, Policy: policy("x"), Res: ipe.False}), "lab"},
		}},
		{"an activation that does not say what", []step{
			activate(10, 1, "", "lab", "lab"), activate(20, 2, "lab", "", ""), access(30, 3, ""),
		}},
		{"what cannot be read may have been an activation", []step{
			activate(10, 1, "", "lab", "lab"), other(ipe.KindUnparsed, 1420, "", "lab"), other(ipe.KindUnparsed, 1421, "", ""),
		}},
		{"records that were judged before the activation and queued behind it", []step{
			activate(1000, 50, "", "lab", "lab"), access(1000, 49, ""), access(1000, 51, "lab"), access(1900, 48, ""),
			access(5000, 60, "lab"), access(5000, 3, "lab"), // now serials may have begun anew
		}},
		{"another boot", []step{
			activate(1000, 50, "", "lab", "lab"), access(5900, 49, "lab"), access(20_000, 52, "lab"), access(26_000, 3, ""),
		}},
		{"serials that turn over", []step{
			activate(1000, 1<<32-1, "", "lab", "lab"), access(1000, 2, "lab"), access(1000, 1<<32-2, ""),
		}},
		{"an update and an activation reported in the wrong order", []step{
			activate(1000, 1, "", "old", "old"),
			activate(2000, 3, "new", "other", "other"), activate(2000, 2, "old", "new", ""), access(2000, 4, ""),
		}},
		{"back to the policy before", []step{
			activate(1000, 1, "a", "b", "b"), activate(1000, 2, "b", "a", "a"), access(1000, 3, ""), access(1010, 4, "a"),
		}},
		{"a loss makes it unknown until the next activation behind the hole", []step{
			activate(10, 1, "", "lab", "lab"), noticed(100, ""), access(90, 2, ""),
			activate(95, 3, "lab", "mid", ""), // queued in front of the hole, maybe
			access(150, 4, ""), activate(101, 5, "mid", "end", "end"), access(160, 6, "end"),
		}},
		{"a reading holds for records that were judged after it", []step{
			read("lab", 100, ""), access(100, 1, ""), access(101, 2, "lab"), access(90, 3, "lab"),
		}},
		{"a reading that is out of date", []step{
			read("lab", 100, ""), activate(90, 1, "x", "y", "y"), access(101, 2, "y"),
		}},
		{"a reading that an activation confirms", []step{
			read("lab", 100, ""), activate(90, 1, "x", "lab", "lab"), access(101, 2, "lab"),
		}},
		{"a reading from before the loss", []step{
			noticed(100, ""), read("lab", 100, ""), access(101, 1, ""),
			read("lab", 150, ""), noticed(150, ""), access(200, 2, ""),
			read("lab", 151, ""), access(200, 3, "lab"),
		}},
		{"a reading of no policy tells that an access is out of place", []step{
			activate(10, 1, "", "lab", "lab"), read("", 100, "lab"), access(99, 2, "lab"), access(101, 3, ""),
		}},
		{"a start is a reading, and the end of what was known", []step{
			activate(10, 1, "", "lab", "lab"), started(100, "active", "boot", ""), access(100, 2, ""), access(101, 3, "boot"),
			started(200, "unreadable", "", ""), access(201, 4, ""),
		}},
		{"a heartbeat is a reading, and ends nothing", []step{
			activate(10, 1, "", "lab", "lab"), heartbeat(100, "unreadable", "", "lab"), access(101, 2, "lab"),
			noticed(200, ""), access(201, 3, ""), heartbeat(300, "active", "lab", ""), access(301, 4, "lab"),
		}},
		{"losses that the stream tells", []step{
			activate(10, 1, "", "lab", "lab"), lost(100, "truncated", 3, "lab"), lost(100, "memory", 0, "lab"),
			lost(100, "socket", 3, ""), activate(200, 2, "lab", "lab2", "lab2"),
			lost(150, "kernel", 3, "lab2"), // noticed before the activation, told after it
			lost(200, "kernel", 3, ""),
			activate(300, 2, "lab", "lab3", "lab3"), lost(250, "spool", 3, ""), // that hole is here
			activate(260, 2, "lab", "lab4", "lab4"),
		}},
		{"right behind an update the old policy may have judged", []step{
			activate(10, 1, "", "lab", "lab"), access(10, 2, "lab"), activate(100, 3, "lab", "lab2", "lab2"),
			access(100, 4, ""), access(109, 5, ""), access(110, 6, "lab2"), access(105, 7, ""),
		}},
		{"where there was no policy before, none has judged", []step{
			read("", 5, ""), activate(10, 1, "", "lab", "lab"), access(10, 2, "lab"),
		}},
		{"accesses that say it themselves", []step{
			activate(10, 1, "", "lab", "lab"), says("", "lab"), says("lab", "lab"), says("", ""), says("other", "other"),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var tracker activepolicy.Tracker
			for i, s := range tt.steps {
				got := ""
				if p := s.do(&tracker); p != nil {
					got = string(p.Name)
				}
				if got != s.want {
					t.Fatalf("step %d: policy %q, want %q", i+1, got, s.want)
				}
			}
		})
	}
}

func TestTrackerTellsNoPolicyFromNoKnowledge(t *testing.T) {
	t.Parallel()
	var tracker activepolicy.Tracker
	check := func(known, active bool) {
		t.Helper()
		if got := tracker.State(); got.Known != known || got.Active != active {
			t.Errorf("%+v, want known %v, active %v", got, known, active)
		}
	}
	boot := policy("boot")
	check(false, false)
	tracker.SetSnapshot(nil, 10)
	check(true, false)
	tracker.SetSnapshot(&boot, 20)
	check(true, true)
	tracker.Lost(30)
	check(false, false)
	tracker.Resume(&boot)
	check(true, true)
	tracker.Forget()
	check(false, false)
}

// TestTrackerKeepsWhatItWasLent overwrites an event once it was observed.
func TestTrackerKeepsWhatItWasLent(t *testing.T) {
	t.Parallel()
	name := []byte("lab")
	var tracker activepolicy.Tracker
	p := tracker.Observe(&ipe.Event{Kind: ipe.KindPolicyActivate, Policy: ipe.Policy{Name: name}})
	copy(name, "XXX")
	if string(p.Name) != "lab" {
		t.Errorf("policy %q, want lab", p.Name)
	}
}
