package audittest_test

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

func ExampleStandIn() {
	_ = func(t *testing.T) {
		group := audittest.StandIn(t)
		conn, err := netlinkaudit.Listen(&netlinkaudit.Config{Protocol: audittest.Protocol, NetNS: group.NetNS()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()

		if err := group.Multicast(1420, `audit(1795440105.125:24): ipe_op=EXECUTE`); err != nil {
			t.Fatal(err)
		}
		msgs, err := conn.Receive()
		if err != nil || len(msgs) != 1 {
			t.Errorf("Receive: %d messages, %v", len(msgs), err)
		}
	}
}
