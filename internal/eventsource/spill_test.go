package eventsource

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
)

// told reads a history and says of each event whose it is and what was concluded.
func told(t *testing.T, lines []string, room int) (list []string) {
	t.Helper()
	h := mustOpen(t, Options{Names: []string{"-"}, Stdin: strings.NewReader(strings.Join(lines, "\n") + "\n")})
	defer h.Close()
	h.sorter.bound, h.shapes.size = room, maxShapeBytes // of no two accesses something is kept once
	if room == sortRoom {
		h.shapes.size = 0
	}
	for {
		ev, err := h.Next()
		if err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s %v %d %v %s %s %s %v", ev.Host, ev.BootID, ev.At, ev.Time, ev.Kind, ev.Path, ev.Rule,
			ev.InForce.Policy.Version, ev.InForce.Enforcing))
	}
}

// TestWhatDoesNotFitIsTheSame reads with room for very few events.
func TestWhatDoesNotFitIsTheSame(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, l := range audittest.HostLogs(40) {
		lines = append(lines, l.Lines...)
	}
	want := told(t, lines, sortRoom)
	if len(want) != len(lines) {
		t.Fatalf("%d of %d events", len(want), len(lines))
	}
	random := rand.New(rand.NewPCG(5, 6))
	for _, room := range []int{sortRoom, 10_000, 500} {
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		if diff := cmp.Diff(want, told(t, append(lines, lines[:20]...), room)); diff != "" {
			t.Errorf("room for %d bytes (-want +got):\n%s", room, diff)
		}
	}
}

// TestTooManyNumbersAreTold gives more gaps than are remembered.
func TestTooManyNumbersAreTold(t *testing.T) {
	t.Parallel()
	var hs hosts
	hs.boot([]byte("h"), []byte("b"))
	hs.spool(hs.boots[0], 7)
	s := hs.spools
	for i := uint64(1); !hs.unnumbered; i += 2 {
		if i > 3*maxSpans {
			t.Fatalf("%d ranges are remembered", hs.spans)
		}
		hs.see(s[0], i, 0, false)
	}
	if list := hs.resolve(func([]byte) bool { return true }); len(list) != 1 || !list[0].Unnumbered || list[0].Skipped != 0 {
		t.Errorf("%+v", list)
	}
}
