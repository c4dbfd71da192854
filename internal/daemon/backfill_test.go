package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// kernelLog returns what gives the lines of a kernel log, one with each call.
func kernelLog(lines ...string) func([]byte) (int, error) {
	seq := 0
	return func(p []byte) (int, error) {
		if seq == len(lines) {
			return 0, syscall.EAGAIN
		}
		seq++
		return copy(p, fmt.Sprintf("5,%d,1000,-;%s\n", seq-1, lines[seq-1])), nil
	}
}

// TestEarlyRecordsComeOnceAndBeforeTheFirstLiveOne has denials and a switch in the
// kernel log, of which the socket got the last two as well.
func TestEarlyRecordsComeOnceAndBeforeTheFirstLiveOne(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	const off = "audit(1795440105.125:3): enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1"
	log := []string{
		"Linux version", "audit: type=1420 " + denial(1), "kauditd_printk_skb: 7 callbacks suppressed", "audit: type=1420 " + denial(2),
		"audit: type=1404 " + off, "audit: type=1420 " + denial(4), "audit: type=1420 " + denial(5),
	}
	path := filepath.Join(dir, "a.json")
	run := func(n int) {
		o := options(dir, "a")
		o.Protocol, o.NetNS, o.Inherited.Audit = audittest.Protocol, group.NetNS(), again(t, socket)
		o.Kmsg = kernelLog(log...)
		d := start(t, o)
		send(t, group, ipe.TypeAccess, denial(n))
		eventually(t, "the last record arrives", func() bool {
			text, _ := os.ReadFile(path)
			return strings.Contains(string(text), fmt.Sprintf(`"pid":%d,`, n))
		})
		d.end()
	}
	send(t, group, ipe.TypeAccess, denial(4))
	send(t, group, ipe.TypeAccess, denial(5))
	run(6)
	if err := os.Remove(filepath.Join(dir, "state", "backfill.json")); err != nil {
		t.Fatal(err)
	}
	run(7) // the note is gone, but the spool has it
	run(8)

	var got []string
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var ev struct {
			Event, Source, Accuracy, Stage string
			Serial, PID                    int
			BootID                         string `json:"boot_id"`
			Policy                         string `json:"active_policy_name"`
		}
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Event == "started" || ev.Event == "stopped" {
			continue
		}
		if ev.BootID == "" {
			t.Errorf("no boot: %s", line)
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %d %s%s", ev.Event, ev.Serial, ev.Source, ev.Accuracy)))
	}
	want := []string{
		"access 1 backfill", "access 2 backfill", "enforcement 3 backfill", "lost 0 backfillunknown",
		"access 4", "access 5", "access 6", "access 7", "access 8",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
