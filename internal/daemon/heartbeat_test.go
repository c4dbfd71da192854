package daemon

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// heartbeat is what a test looks at in one.
type heartbeat struct {
	Seq       uint64  `json:"seq"`
	Event     string  `json:"event"`
	Version   string  `json:"version"`
	Status    string  `json:"ipe_status"`
	Enforcing *bool   `json:"enforcing"`
	Policy    string  `json:"policy_name"`
	Denied    *uint64 `json:"denied"`
	WouldDeny *uint64 `json:"would_deny"`
	Allowed   *uint64 `json:"allowed"`
	Lost      *uint64 `json:"lost"`
}

// heartbeats returns those in a file of JSON lines, whose last one may be torn.
func heartbeats(t *testing.T, path string) (list []heartbeat) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var h heartbeat
		if err := json.Unmarshal(line, &h); err == nil && h.Event == ipe.KindHeartbeat.String() {
			list = append(list, h)
		}
	}
	return list
}

// TestHeartbeatSaysWhatIsInForceAndWhatWasCounted looks at what a sink without match
// gets, and changes the interval by a reload.
func TestHeartbeatSaysWhatIsInForceAndWhatWasCounted(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "all", "denials")
	o.Config.Sinks[1].Match = []match.Selection{{Verdicts: []string{"denied"}}}
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), sysfs(t, "boot")
	hangup := make(chan os.Signal)
	o.Hangup = hangup
	every := time.Duration(0)
	reloaded := make(chan struct{})
	o.Reload = func() (*config.Config, error) {
		defer func() { reloaded <- struct{}{} }()
		next := *o.Config
		next.Heartbeat = config.Interval(every)
		return &next, nil
	}
	reload := func(interval time.Duration) {
		every = interval
		for range 2 { // the second begins when the first is over
			hangup <- syscall.SIGHUP
			<-reloaded
		}
	}
	d := start(t, o)
	at := time.Now()
	send(t, group, ipe.TypeConfigChange, activationAt(at, 1, "next"))
	send(t, group, ipe.TypeAccess, denialAt(at, 2), denialAt(at, 3), denialAt(at, 4))
	path := filepath.Join(dir, "all.json")
	judge(t, path, 4)
	if got := heartbeats(t, path); len(got) > 0 {
		t.Errorf("a heartbeat, though nobody wants one: %+v", got)
	}

	reload(time.Millisecond)
	eventually(t, "some heartbeats", func() bool { return len(heartbeats(t, path)) > 3 })
	reload(0)
	n := 0
	eventually(t, "no more heartbeats", func() bool {
		before := n
		n = len(heartbeats(t, path))
		send(t, group, ipe.TypeAccess, denialAt(at, 100+n))
		judge(t, path, 100+n)
		return n == before
	})
	d.end()

	list := heartbeats(t, path)
	three, zero, enforcing := uint64(3), uint64(0), true
	first := list[0]
	// The policy is what securityfs said when it was looked at, for no other is
	// there, whatever the record claims; the mode, which is not there, an access has said.
	want := heartbeat{Seq: first.Seq, Event: "heartbeat", Version: "test", Status: "active", Enforcing: &enforcing, Policy: "boot", Denied: &three, WouldDeny: &zero, Allowed: &zero, Lost: &zero}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("the first heartbeat (-want +got):\n%s", diff)
	}
	if first.Seq == 0 {
		t.Error("a heartbeat without a number is not in the spool")
	}
	if got := heartbeats(t, filepath.Join(dir, "denials.json")); len(got) > 0 {
		t.Errorf("a sink that wants denials got %+v", got)
	}
}
