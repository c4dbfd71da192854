package tally

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	var gs Groups
	ev := ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Action: ipe.ActionDeny, Path: []byte("/real"), Comm: []byte("sh")}
	gs.Add(&ev, 1, nil)
	const flood = 40_000
	ev.Verdict = ipe.VerdictWouldDeny
	for i := range flood {
		ev.Path = fmt.Appendf(ev.Path[:0], "/flood/%d", i)
		gs.Add(&ev, 2, nil)
	}
	list := gs.List()
	if len(list) > maxGroups {
		t.Errorf("%d groups", len(list))
	}
	if string(list[0].Event.Path) != "/real" {
		t.Errorf("the denial was given up for what would have been denied; %q is first", list[0].Event.Path)
	}
	events := gs.GivenUpEvents
	for _, g := range list {
		events += g.Count
	}
	if events != 2*flood+1 || gs.GivenUp != flood+1-uint64(len(list)) {
		t.Errorf("%d events and %d groups given up, want %d and %d", events, gs.GivenUp, 2*flood+1, flood+1-len(list))
	}
}

func TestGroupsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	var gs Groups
	for i := range 40 {
		path := append(bytes.Repeat([]byte("x"), 1<<20), fmt.Sprint(i)...)
		gs.Add(&ipe.Event{Kind: ipe.KindAccess, Path: path, Comm: path}, 1, nil)
		if gs.size > maxBytes+4<<20 {
			t.Fatalf("%d bytes", gs.size)
		}
	}
	if gs.GivenUp == 0 {
		t.Error("nothing was given up: the test tests nothing")
	}
}

func TestGroupNamesItsCallers(t *testing.T) {
	t.Parallel()
	var gs Groups
	for i := range maxNames + 3 {
		for range i + 1 {
			gs.Add(&ipe.Event{Kind: ipe.KindAccess, Comm: fmt.Appendf(nil, "c%d", i)}, 1, nil)
		}
	}
	gs.Add(&ipe.Event{Kind: ipe.KindAccess}, 5, nil)
	callers, others := gs.List()[0].Comms.List()
	if len(callers) != maxNames || string(callers[0].Name) != fmt.Sprintf("c%d", maxNames-1) || callers[0].Count != maxNames {
		t.Errorf("%d callers, the first %s %d", len(callers), callers[0].Name, callers[0].Count)
	}
	if want := uint64(5 + maxNames + 1 + maxNames + 2 + maxNames + 3); others != want {
		t.Errorf("%d events of others, want %d", others, want)
	}
}
