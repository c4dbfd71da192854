package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// judged is what these tests look at in a line of JSON.
type judged struct {
	Event         string
	Serial        uint32
	PID           int
	PolicyName    string `json:"policy_name"`
	PolicyVersion string `json:"policy_version"`
	PolicyDigest  string `json:"policy_digest"`
	ActiveName    string `json:"active_policy_name"`
	ActiveVersion string `json:"active_policy_version"`
	ActiveDigest  string `json:"active_policy_digest"`
}

func judgedIn(t *testing.T, path string) []judged {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var all []judged
	for line := range strings.Lines(string(text)) {
		var ev judged
		if strings.HasSuffix(line, "\n") {
			if err := json.Unmarshal([]byte(line), &ev); err != nil {
				t.Fatalf("torn line %q: %v", line, err)
			}
			all = append(all, ev)
		}
	}
	return all
}

// judge returns the name of the policy that judged the denial of that pid, once
// it is delivered.
func judge(t *testing.T, path string, pid int) string {
	t.Helper()
	name := ""
	eventually(t, fmt.Sprintf("denial %d is delivered", pid), func() bool {
		all := judgedIn(t, path)
		i := slices.IndexFunc(all, func(ev judged) bool { return ev.Event == "access" && ev.PID == pid })
		if i >= 0 {
			name = all[i].ActiveName
		}
		return i >= 0
	})
	return name
}

func stamp(at time.Time, serial int) string {
	return fmt.Sprintf("audit(%d.%03d:%d): ", at.Unix(), at.Nanosecond()/1e6, serial)
}

func denialAt(at time.Time, n int) string {
	return stamp(at, n) + fmt.Sprintf(`ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="labtool" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`, n)
}

func activationAt(at time.Time, serial int, name string) string {
	return stamp(at, serial) + fmt.Sprintf(`old_active_pol_name=? old_active_pol_version=? old_policy_digest=? new_active_pol_name="%s" new_active_pol_version=1.0.0 new_policy_digest=sha256:AB auid=1 ses=1 lsm=ipe res=1`, name)
}

// TestCapturesSayWhichPolicyJudged feeds every capture of a real kernel: each
// access names the policy of the last activation before it.
func TestCapturesSayWhichPolicyJudged(t *testing.T) {
	t.Parallel()
	captures, err := filepath.Glob("../../test/captures/*/*.nlcap")
	if err != nil || len(captures) == 0 {
		t.Fatal("no captures", err)
	}
	named := 0
	for _, capture := range captures {
		input, err := os.Open(capture)
		if err != nil {
			t.Fatal(err)
		}
		defer input.Close()
		dir := t.TempDir()
		o := options(dir, "a")
		o.Config.Sinks[0].From = "oldest"
		o.Input, o.InputName = input, capture
		if err := Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		var last judged
		for _, ev := range judgedIn(t, filepath.Join(dir, "a.json")) {
			switch ev.Event {
			case "policy_activate":
				last = ev
			case "access":
				if ev.ActiveName != last.PolicyName || ev.ActiveVersion != last.PolicyVersion || ev.ActiveDigest != last.PolicyDigest {
					t.Errorf("%s: access %d judged by %s %s %s, want %s", filepath.Base(capture), ev.Serial, ev.ActiveName, ev.ActiveVersion, ev.ActiveDigest, last.PolicyName)
				}
				if ev.ActiveName != "" {
					named++
				}
			default:
				if ev.ActiveName != "" {
					t.Errorf("%s: %s has a policy that judged it", capture, ev.Event)
				}
			}
		}
	}
	if named == 0 {
		t.Error("no capture names a policy, so this test shows nothing")
	}
}

// sysfs makes a folder that says which policy is active.
func sysfs(t *testing.T, name string) string {
	t.Helper()
	root := t.TempDir()
	policy := filepath.Join(root, "kernel/security/ipe/policies", name)
	if err := os.MkdirAll(policy, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(root, "kernel/security/lsm"): "ipe",
		filepath.Join(policy, "active"):            "1",
		filepath.Join(policy, "version"):           "1.0.0",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestPolicyReadAtTheStartHoldsForLaterRecordsOnly has a record in the queue of
// an inherited socket that was judged before the daemon could look.
func TestPolicyReadAtTheStartHoldsForLaterRecordsOnly(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	path := filepath.Join(dir, "a.json")
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), sysfs(t, "boot")
	o.Inherited.Audit = join(t, group)
	send(t, group, ipe.TypeAccess, denialAt(time.Now(), 1))
	d := start(t, o)
	send(t, group, ipe.TypeAccess, denialAt(time.Now().Add(time.Minute), 2))
	if got := judge(t, path, 1); got != "" {
		t.Errorf("a record from before the start was judged by %q, but nobody knows", got)
	}
	if got := judge(t, path, 2); got != "boot" {
		t.Errorf("a record from after the start was judged by %q, want boot", got)
	}
	// What is written here differs from what the daemon read, so it is the record
	// that counts.
	send(t, group, ipe.TypeConfigChange, activationAt(time.Now().Add(2*time.Minute), 3, "next"))
	send(t, group, ipe.TypeAccess, denialAt(time.Now().Add(2*time.Minute), 4))
	if got := judge(t, path, 4); got != "next" {
		t.Errorf("after an activation judged by %q, want next", got)
	}
	d.end()
	for _, ev := range judgedIn(t, path) {
		const ofNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		if ev.ActiveName == "boot" && ev.ActiveDigest != ofNothing {
			t.Errorf("the built-in policy has digest %s, want that of nothing", ev.ActiveDigest)
		}
	}
}

// TestPolicyIsReadAgainWhereItIsNotKnown begins without a policy that could be
// read.
func TestPolicyIsReadAgainWhereItIsNotKnown(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir, "a")
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), filepath.Join(t.TempDir(), "later")
	d := start(t, o)
	if err := os.Rename(sysfs(t, "late"), o.Sysfs); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "a.json")
	n := 0
	eventually(t, "the policy is known", func() bool {
		n++
		send(t, group, ipe.TypeAccess, denialAt(time.Now().Add(time.Minute), n))
		return judge(t, path, n) == "late"
	})
	d.end()
}

// TestPolicyInForceOutlivesAnOrderlyEnd restarts a daemon with the same socket.
// Records that were queued meanwhile are judged by what was in force.
func TestPolicyInForceOutlivesAnOrderlyEnd(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	run := func() *running {
		o := options(dir, "a")
		o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), t.TempDir()
		o.Config.Source.ReceiveBuffer = 0
		o.Inherited.Audit = again(t, socket)
		return start(t, o)
	}
	at := time.Now()
	first := run()
	send(t, group, ipe.TypeConfigChange, activationAt(at, 1, "lab"))
	send(t, group, ipe.TypeAccess, denialAt(at, 2))
	if got := judge(t, path, 2); got != "lab" {
		t.Fatalf("judged by %q, want lab", got)
	}
	first.end()

	send(t, group, ipe.TypeAccess, denialAt(at, 3))
	send(t, group, ipe.TypeConfigChange, activationAt(at, 4, "away"))
	send(t, group, ipe.TypeAccess, denialAt(at, 5))
	second := run()
	for pid, want := range map[int]string{3: "lab", 5: "away"} {
		if got := judge(t, path, pid); got != want {
			t.Errorf("record %d was judged by %q, want %s", pid, got, want)
		}
	}
	second.end()

	// With a socket that has lost something the queue tells nothing.
	for i := range 3000 {
		send(t, group, ipe.TypeAccess, denialAt(at, 1000+i))
	}
	third := run()
	if got := judge(t, path, 1000); got != "" {
		t.Errorf("after drops judged by %q, but nobody knows", got)
	}
	third.end()
}

// TestPolicyInForceDiesWithAProcessThatIsKilled kills a daemon: it may have had
// an activation in its hands.
func TestPolicyInForceDiesWithAProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	socket := join(t, group)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	at := time.Now()
	cmd := child(t, dir, socket)
	send(t, group, ipe.TypeConfigChange, activationAt(at, 1, "lab"))
	send(t, group, ipe.TypeAccess, denialAt(at, 2))
	if got := judge(t, path, 2); got != "lab" {
		t.Fatalf("judged by %q, want lab", got)
	}
	eventually(t, "what could be resumed is on the disk", func() bool {
		policies, _ := os.ReadFile(filepath.Join(dir, "state", "policies.json"))
		_, err := os.Stat(filepath.Join(dir, "state", "ledger.json"))
		return bytes.Contains(policies, []byte("lab")) && err == nil
	})
	cmd.Process.Kill()
	cmd.Wait()

	cmd = child(t, dir, socket)
	send(t, group, ipe.TypeAccess, denialAt(at, 3))
	if got := judge(t, path, 3); got != "" {
		t.Errorf("after a kill judged by %q, but nobody knows", got)
	}
	send(t, group, ipe.TypeConfigChange, activationAt(at, 4, "next"))
	send(t, group, ipe.TypeAccess, denialAt(at, 5))
	if got := judge(t, path, 5); got != "next" {
		t.Errorf("after an activation judged by %q, want next", got)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// contexts keeps the contexts of what is appended.
type contexts struct {
	list []uint16
	full chan struct{} // closed at want
	want int
}

func (c *contexts) Append(recs []spool.Record) spool.Cursor {
	for i := range recs {
		if c.list = append(c.list, recs[i].Context); len(c.list) == c.want {
			close(c.full)
		}
	}
	return spool.Cursor{}
}

// TestNoRecordBehindADropIsMarked drops records while the policy is known.
func TestNoRecordBehindADropIsMarked(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	conn, err := netlinkaudit.Listen(&netlinkaudit.Config{Types: ipe.Types(), Protocol: audittest.Protocol, NetNS: group.NetNS()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := time.Now()
	first := &contexts{want: 2, full: make(chan struct{})}
	rec := newReceiver(conn, activepolicy.NewAnnotator(first, activepolicy.NewTable()))
	received := make(chan error, 1)
	run := func(c *contexts, r *receiver) {
		go func() { received <- r.run() }()
		<-c.full
		if err := conn.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-received; err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	send(t, group, ipe.TypeConfigChange, activationAt(at, 1, "lab"))
	send(t, group, ipe.TypeAccess, denialAt(at, 2))
	run(first, rec)
	if first.list[1] == 0 {
		t.Fatal("the policy is not known before the drop")
	}
	first.want, first.full = 4, make(chan struct{})
	// The hole comes behind what fits into the buffer.
	send(t, group, ipe.TypeConfigChange, activationAt(at, 3, "in front of the hole"))
	for i := range 3000 {
		send(t, group, ipe.TypeAccess, denialAt(at, 4+i))
	}
	if drops, err := conn.Drops(); err != nil || drops == 0 {
		t.Skipf("the receive buffer holds everything (%d dropped, %v)", drops, err)
	}
	run(first, rec)
	for i, c := range first.list[2:] {
		if c != 0 {
			t.Fatalf("record %d is marked with %d", i, c)
		}
	}
}

// BenchmarkReceive is what the receiver does with a batch behind recvmmsg.
func BenchmarkReceive(b *testing.B) {
	w := activepolicy.NewAnnotator(&discard{}, activepolicy.NewTable())
	r := &receiver{annotator: w, records: make([]spool.Record, 0, 64), active: make(chan struct{}, 1)}
	msgs := make([]netlinkaudit.Message, 64)
	for i := range msgs {
		msgs[i] = netlinkaudit.Message{Type: ipe.TypeAccess, Data: []byte(denial(i))}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.appendBatch(msgs, 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/record")
}

type discard struct{}

func (*discard) Append([]spool.Record) spool.Cursor { return spool.Cursor{} }
