package e2e_test

import (
	"testing"
	"time"
)

// order is what a receiver may do with the order of the spool.
type order int

const (
	exactlyOnce order = iota
	atLeastOnce       // some events may come again, in the same order
)

// wait waits until a receiver has the last of the events that it should have.
func (f *farm) wait(p place, want []string) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		all := texts(p.read(f))
		if len(all) >= len(want) && (len(want) == 0 || all[len(all)-1] == want[len(want)-1]) {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s has %d events after %v, want %d\n%s", p.name, len(all), patience, len(want), f.said())
		}
	}
}

func texts(all []delivery) []string {
	var some []string
	for _, d := range all {
		if d.text != "" {
			some = append(some, d.text)
		}
	}
	return some
}

// connections is how many a receiver that ends may take with it: until its
// socket is closed the kernel accepts for it, and each one begins with what the
// last may not have delivered.
const connections = 5

// verify checks that a receiver has all events. Events may look alike only with
// exactlyOnce.
func (f *farm) verify(p place, want []string, o order) {
	f.t.Helper()
	all := p.read(f)
	got := texts(all)
	if o == exactlyOnce {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				f.t.Errorf("%s: event %d is\n%q, want\n%q\nthe daemon said:\n%s", p.name, i, got[i], want[i], f.said())
				return
			}
		}
		if len(got) != len(want) {
			f.t.Errorf("%s has %d events, want %d; the daemon said:\n%s", p.name, len(got), len(want), f.said())
		}
	} else {
		again := inOrder(f.t, p.name, got, want)
		f.t.Logf("%s: %d deliveries of %d events, went back %d times", p.name, len(got), len(want), again)
		if again > f.ends*connections {
			f.t.Errorf("%s: events came again %d times, after %d ends of a process; the daemon said:\n%s", p.name, again, f.ends, f.said())
		}
	}
	gapless(f.t, p.name, all, o)
}

// inOrder checks that all events are there, and that they come in their order
// except where a receiver is sent some of them again. It returns how often.
func inOrder(t *testing.T, name string, got, want []string) (again int) {
	t.Helper()
	index := make(map[string]int, len(want))
	for i, text := range want {
		index[text] = i
	}
	if len(index) != len(want) {
		t.Fatal("events look alike, so this test shows nothing")
	}
	last, next := -1, 0
	for _, text := range got {
		i, ok := index[text]
		switch {
		case !ok:
			t.Errorf("%s: unexpected %q", name, text)
			return again
		case i > last+1 && i > next:
			t.Errorf("%s: event %d after %d: %d are missing", name, i, last, i-next)
			return again
		case i <= last:
			again++
		}
		last, next = i, max(next, i+1)
	}
	if next != len(want) {
		t.Errorf("%s: the last event is %d, want %d", name, next-1, len(want)-1)
	}
	return again
}

// gapless checks the numbers that a receiver is told: those of the daemon's own
// events included, none is missing.
func gapless(t *testing.T, name string, all []delivery, o order) {
	t.Helper()
	next := uint64(1)
	for _, d := range all {
		if d.seq == 0 {
			continue
		}
		if d.seq > next || o == exactlyOnce && d.seq != next {
			t.Errorf("%s: number %d, want %d", name, d.seq, next)
			return
		}
		next = max(next, d.seq+1)
	}
}
