package audittest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
	"golang.org/x/sys/unix"
)

func TestStandInIsHeardByWhoeverListensToIt(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	conn := listen(t, &netlinkaudit.Config{Protocol: audittest.Protocol, NetNS: group.NetNS()})
	if err := group.Multicast(1420, "hello"); err != nil {
		t.Fatal(err)
	}
	msgs, err := conn.Receive()
	if err != nil || len(msgs) != 1 || msgs[0].Type != 1420 || string(msgs[0].Data) != "hello" {
		t.Errorf("got %v, %v; want one 1420 hello", msgs, err)
	}
}

func TestStandInsDoNotHearEachOther(t *testing.T) {
	t.Parallel()
	a, b := audittest.StandIn(t), audittest.StandIn(t)
	conn := listen(t, &netlinkaudit.Config{Protocol: audittest.Protocol, NetNS: a.NetNS()})
	for _, send := range []struct {
		group *audittest.Group
		text  string
	}{{b, "not for a"}, {a, "for a"}} {
		if err := send.group.Multicast(1420, send.text); err != nil {
			t.Fatal(err)
		}
	}
	msgs, err := conn.Receive()
	if err != nil || len(msgs) != 1 || string(msgs[0].Data) != "for a" {
		t.Errorf("got %v, %v; want only what a sent", msgs, err)
	}
}

func TestForgerIsNotBelieved(t *testing.T) {
	t.Parallel()
	const typ = 0xfe01 // nobody else's
	conn := listen(t, &netlinkaudit.Config{Types: []uint16{typ}})
	forger, err := audittest.Forger()
	if err != nil {
		t.Fatal(err)
	}
	defer forger.Close()
	if err := forger.Multicast(typ, "believe me"); err != nil {
		t.Fatal(err)
	}
	msgs, err := conn.Receive()
	if err != nil || len(msgs) != 0 || conn.Stats().Forged != 1 {
		t.Errorf("got %v, %v, %+v; want one forgery", msgs, err, conn.Stats())
	}
}

func TestRelayIsBelieved(t *testing.T) {
	t.Parallel()
	conn := listen(t, &netlinkaudit.Config{Types: []uint16{audittest.TypeUserAVC}})
	relay, err := audittest.NewRelay()
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	token := fmt.Sprintf("relay-%d-%d", os.Getpid(), time.Now().UnixNano())
	if err := relay.Send(token); err != nil {
		t.Fatal(err)
	}
	for {
		msgs, err := conn.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if bytes.Contains(m.Data, []byte("msg='"+token+"'")) {
				return
			}
		}
	}
}

// listen skips where the machine does not let us listen.
func listen(t *testing.T, cfg *netlinkaudit.Config) *netlinkaudit.Conn {
	t.Helper()
	conn, err := netlinkaudit.Listen(cfg)
	for _, reason := range []error{
		netlinkaudit.ErrPermission, netlinkaudit.ErrUnavailable, netlinkaudit.ErrForeignNamespace, unix.EPERM,
	} {
		if errors.Is(err, reason) {
			t.Skip(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}
