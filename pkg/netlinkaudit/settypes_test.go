package netlinkaudit

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
)

// TestSetTypesLosesNothing switches again and again while messages of a type that
// both filters let through, and of one that only the wider has, are sent.
func TestSetTypesLosesNothing(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	const always, sometimes, never, total = 1420, 1300, 1301, 3000
	c := listen(t, on(group, Config{Types: []uint16{always, sometimes}, ReadBuffer: 8 << 20}))
	sent := make(chan error, 1)
	go func() {
		for n := range total {
			for _, typ := range []uint16{never, sometimes, always} {
				if err := group.Multicast(typ, fmt.Sprint(n)); err != nil {
					sent <- err
					return
				}
			}
		}
		sent <- nil
	}()
	seen, others := 0, 0
	for wide := true; seen < total; wide = !wide {
		msgs, err := c.Receive()
		must(t, err)
		for _, m := range msgs {
			switch m.Type {
			case always:
				if got := string(m.Data); got != fmt.Sprint(seen) {
					t.Fatalf("message %s in place of %d", got, seen)
				}
				seen++
			case sometimes:
				others++
			default:
				t.Fatalf("type %d was let through", m.Type)
			}
		}
		types := []uint16{always}
		if !wide {
			types = append(types, sometimes)
		}
		must(t, c.SetTypes(types))
	}
	must(t, <-sent)
	if drops, err := c.Drops(); drops != 0 || err != nil {
		t.Skipf("the machine was too slow: %d drops, %v", drops, err)
	}
	t.Logf("%d of %d messages of the other type were let through, %d refused", others, total, c.Stats().Filtered)
}

// TestSetTypesKeepsTheFilterOutOfTheQueue: what the kernel refuses is not queued.
func TestSetTypesKeepsTheFilterOutOfTheQueue(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	c := listen(t, on(group, Config{Types: []uint16{1420, 1300}}))
	must(t, c.SetTypes([]uint16{1420}))
	must(t, group.Multicast(1300, "x"))
	if queued, err := c.Queued(); queued != 0 || err != nil {
		t.Errorf("%d bytes are queued, %v", queued, err)
	}
	must(t, c.SetTypes([]uint16{1420, 1300}))
	must(t, group.Multicast(1300, "y"))
	msgs, err := c.Receive()
	if err != nil || len(msgs) != 1 || string(msgs[0].Data) != "y" {
		t.Errorf("got %v, %v", msgs, err)
	}
	if err := c.SetTypes(nil); err == nil {
		t.Error("no types at all are taken")
	}
	must(t, c.Close())
	if err := c.SetTypes([]uint16{1420}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
