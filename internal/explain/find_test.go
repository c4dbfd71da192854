package explain

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestIDsOfEvents(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]ID{
		"last":                              {Last: true},
		"63":                                {Seq: 63},
		"5f1c9a0277d8e3b4:9":                {Spool: "5f1c9a0277d8e3b4", Seq: 9},
		"5f1c:9":                            {Spool: "5f1c", Seq: 9},
		"1795:9":                            {Spool: "1795", Seq: 9},
		"1795440701.244:47":                 {Stamp: 1795440701244, Serial: 47},
		"audit(1795440701.244:47):":         {Stamp: 1795440701244, Serial: 47},
		"0000000000000000018446744073709:1": {},
		"":                                  {}, "0": {}, "-1": {}, "5F1C9A02:1": {}, "5f1:9": {}, "5f1c9a0277d8e3b4:": {}, "5f1c9a0277d8e3b4:0": {},
		"99999999999999999999": {}, "events.json": {}, "1.5:3": {}, "LAST": {}, "63\n": {},
	} {
		got, err := ParseID(s)
		got.text = ""
		if got != want || (err == nil) != (want != ID{}) || err != nil && !errors.Is(err, ErrNoID) {
			t.Errorf("%q: got %+v, %v, want %+v", s, got, err, want)
		}
	}
}

// TestTheLastEventsAreThoseOfTheLatestTimes: the stream has one host after the
// other, so its order is no order of time.
func TestTheLastEventsAreThoseOfTheLatestTimes(t *testing.T) {
	t.Parallel()
	f := Finder{ID: ID{Last: true}, N: 3, Match: func(ev *ipe.Event) bool { return ev.PID != 99 }}
	for i, at := range []int64{5, 9, 7, 1, 8, 8, 100} {
		ev := eventsource.Event{Event: ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasStamp | ipe.HasPID, Time: at, PID: uint64(i)}}
		if at == 100 {
			ev.PID = 99
		}
		f.Add(&ev)
	}
	lines, err := f.Found("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		_, pid, _ := strings.Cut(string(line), `"pid":`)
		got = append(got, strings.TrimRight(pid, "}"))
	}
	if diff := cmp.Diff([]string{"4", "5", "1"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestANumberIsOneOfTheNewestSpool: by the times of all events, whatever matches.
func TestANumberIsOneOfTheNewestSpool(t *testing.T) {
	t.Parallel()
	id, err := ParseID("2")
	if err != nil {
		t.Fatal(err)
	}
	f := Finder{ID: id}
	for _, e := range []struct {
		spool spool.ID
		seq   uint64
		time  int64
	}{{0xa, 2, 300}, {0xb, 2, 100}, {0xb, 9, 400}} {
		f.Add(&eventsource.Event{Event: ipe.Event{Kind: ipe.KindStopped, Has: ipe.HasStamp, Time: e.time}, At: spool.Cursor{ID: e.spool, Seq: e.seq}})
	}
	lines, err := f.Found("x", nil)
	if got := fmt.Sprintf("%s", lines); err != nil || !strings.Contains(got, `"spool":"000000000000000b","seq":2,`) || len(lines) != 1 {
		t.Errorf("got %s, %v", got, err)
	}
}
