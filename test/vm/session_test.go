package vm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/test/vm"
	"github.com/ipe-auditd/ipe-auditd/test/vm/wire"
)

// patience is how long something in the guest may take. Under TCG on a busy
// host that can be long; a test that passes does not wait.
const patience = 60 * time.Second

// session is a guest, the daemon in it, and what is known of its state.
type session struct {
	lab   *lab
	run   *run
	guest *vm.Guest

	daemon *vm.Process
	offset int         // of the daemon's output, up to which it was read
	seq    json.Number // of the last event
	spool  string
	files  int // how many files were made

	// With audit=1 on the command line and no auditd the kernel's count of lost records means
	// nothing, and the daemon says so once in a while.
	holdQueue bool
	unknown   int // how often it did

	changes []event // audit_config, which next passes over

	active    string // name of the active policy
	enforcing bool
	loaded    map[string]loaded
}

// loaded is a policy that the kernel has.
type loaded struct{ version, digest string }

// scenario is one thing to happen in a guest. It leaves the guest ready for the
// next one.
type scenario struct {
	name string
	run  func(*testing.T, *session)
}

// configuration of the daemon under test.
const configuration = `
spool: {memory: 256MiB}
api: {path: ` + apiSocket + `}
sinks:
  - {name: out, type: console, format: json}
`

const (
	configFile = "/etc/ipe-auditd.yaml"
	apiSocket  = "/run/ipe-auditd.sock"
)

// begin boots the guest and starts the daemon in it.
func (s *session) begin(t *testing.T, commandLine string) {
	t.Helper()
	s.guest, s.enforcing, s.loaded = s.lab.boot(t, s.run.kernel, commandLine), true, map[string]loaded{}
	s.put(t, configFile, []byte(configuration))
	if ev := s.restart(t); ev["kernel"] != s.guest.Kernel.Release || ev["ipe_status"] != "no_policy" {
		t.Fatalf("the daemon begins with %v", ev)
	}
}

// restart starts a daemon and returns its first event.
func (s *session) restart(t *testing.T) event {
	t.Helper()
	s.daemon, s.offset, s.seq, s.spool = s.start(t, &wire.Call{Argv: words("/bin/ipe-auditd", "--config", configFile)}), 0, "", ""
	ev := s.next(t)
	if ev["event"] != "started" {
		t.Fatalf("the daemon begins with %v", ev)
	}
	return ev
}

// stop stops the daemon in order.
func (s *session) stop(t *testing.T) {
	t.Helper()
	if err := s.daemon.Signal(int(syscall.SIGTERM)); err != nil {
		t.Fatal(err)
	}
	if ev := s.next(t); ev["event"] != "stopped" {
		t.Errorf("the daemon ends with %v", ev)
	}
	s.ended(t)
}

// ended waits for the end of the daemon, after its last event.
func (s *session) ended(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exit, err := s.daemon.Wait(ctx)
	if exit != 0 || err != nil {
		t.Errorf("the daemon ended with %d, %v:\n%s", exit, err, s.daemon.Stderr())
	}
	if line, _, ok := s.daemon.Line(ctx, s.offset); ok {
		t.Errorf("after its end the daemon says %s", line)
	}
}

// all runs the scenarios in order. When one fails the state is not known, so
// the rest is left out, and the result is false.
func (s *session) all(t *testing.T, lists ...[]scenario) bool {
	t.Helper()
	for _, list := range lists {
		for _, sc := range list {
			if !t.Run(sc.name, func(t *testing.T) { s.one(t, sc) }) {
				if s.daemon != nil {
					t.Logf("the daemon said:\n%s", s.daemon.Stderr())
				}
				return false
			}
		}
	}
	return true
}

// one runs a scenario and notes how it went.
func (s *session) one(t *testing.T, sc scenario) {
	defer func() {
		switch {
		case t.Skipped():
			s.run.note(&s.run.skipped, sc.name)
		case !t.Failed():
			s.run.note(&s.run.passed, sc.name)
		}
	}()
	sc.run(t, s)
}

// words returns an argument vector.
func words(args ...string) [][]byte {
	var argv [][]byte
	for _, a := range args {
		argv = append(argv, []byte(a))
	}
	return argv
}

func (s *session) start(t *testing.T, call *wire.Call) *vm.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := s.guest.Start(ctx, call)
	if err != nil {
		t.Fatalf("start %q: %v", call.Argv, err)
	}
	return p
}

// finish runs a program to its end and returns its exit status.
func (s *session) finish(t *testing.T, call *wire.Call) (*vm.Process, int) {
	t.Helper()
	p := s.start(t, call)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exit, err := p.Wait(ctx)
	if err != nil {
		t.Fatalf("%q: %v", call.Argv, err)
	}
	return p, exit
}

// did is what an action came to.
type did struct {
	wire.Result
	PID int
}

// act does one action.
func (s *session) act(t *testing.T, args ...string) did {
	t.Helper()
	return s.actCall(t, nil, nil, args...)
}

// actCall does one action with standard input, as another user or in other
// namespaces.
func (s *session) actCall(t *testing.T, stdin []byte, how *wire.Call, args ...string) did {
	t.Helper()
	call := wire.Call{}
	if how != nil {
		call = *how
	}
	call.Argv, call.Stdin = words(append([]string{"/bin/act"}, args...)...), stdin
	p, exit := s.finish(t, &call)
	d := did{PID: p.PID}
	out := p.Stdout()
	if exit == 0 && len(out) > 0 {
		if err := json.Unmarshal(out, &d.Result); err != nil {
			t.Fatalf("act %q: %v: %q", args, err, out)
		}
	}
	if exit != 0 || d.Step != "" {
		t.Fatalf("act %q: exit status %d, %s %s", args, exit, d.Step, p.Stderr())
	}
	return d
}

// put makes an executable file and returns its inode.
func (s *session) put(t *testing.T, path string, text []byte) uint64 {
	t.Helper()
	return s.actCall(t, text, nil, "put", path).Ino
}

// event is one line of the daemon's output.
type event map[string]any

// next returns the daemon's next event, after what all events have in common
// was checked.
func (s *session) next(t *testing.T) event {
	t.Helper()
	ev := s.nextAny(t)
	seq, _ := ev["seq"].(json.Number)
	last, _ := s.seq.Int64()
	if n, err := seq.Int64(); err != nil || s.seq != "" && n != last+1 {
		t.Errorf("seq %v after %v in %v", seq, s.seq, ev)
	}
	s.seq = seq
	spool, _ := ev["spool"].(string)
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(spool) || s.spool != "" && s.spool != spool {
		t.Errorf("spool %v after %v in %v", spool, s.spool, ev)
	}
	s.spool = spool
	if s.holdQueue && ev["event"] == "lost" && ev["stage"] == "kernel" && ev["accuracy"] == "unknown" {
		s.unknown++
		return s.next(t)
	}
	if ev["event"] == "audit_config" {
		s.changes = append(s.changes, ev)
		return s.next(t)
	}
	return ev
}

// nextAny returns the next event of a daemon that prints only some.
func (s *session) nextAny(t *testing.T) event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	line, next, ok := s.daemon.Line(ctx, s.offset)
	if !ok {
		t.Fatalf("no event; the daemon said:\n%s\nthe console:\n%s", s.daemon.Stderr(), s.guest.Console())
	}
	s.offset = next
	return decode(t, line)
}

// number returns a number of an event.
func number(t *testing.T, ev event, key string) int64 {
	t.Helper()
	n, _ := ev[key].(json.Number)
	i, err := n.Int64()
	if err != nil {
		t.Fatalf("%s in %v: %v", key, ev, err)
	}
	return i
}

func decode(t *testing.T, line []byte) event {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var ev event
	if err := dec.Decode(&ev); err != nil {
		t.Fatalf("not JSON: %v: %q", err, line)
	}
	return ev
}

// common are the keys whose values a scenario does not say.
var common = []string{"spool", "seq", "time", "serial", "host", "boot_id"}

// callers are the keys that say who asked, where the kernel has made companions: that
// depends on how audit is, and not on what is done.
var callers = []string{
	"euid", "ppid", "exit", "success", "syscall", "tty", "exe", "proctitle", "auid", "uid", "ses",
	"cgroup", "unit", "user_unit", "container", "pod", "context",
}

// expect takes as many events as are wanted and compares every key.
func (s *session) expect(t *testing.T, want ...event) {
	t.Helper()
	for _, w := range want {
		s.same(t, s.next(t), w)
	}
}

// same compares every key of an event.
func (s *session) same(t *testing.T, got, want event) {
	t.Helper()
	got = got.with()
	for _, key := range common {
		if got[key] == nil {
			t.Errorf("no %s in %v", key, got)
		}
		delete(got, key)
	}
	if got["event"] == "access" {
		for _, key := range callers {
			if want[key] == nil {
				delete(got, key)
				delete(got, key+"_hex")
			}
		}
	}
	if s.unknown > 0 && got["active_policy_name"] == nil {
		// What was lost may have been another activation (internal/activepolicy).
		want = want.with("active_policy_name", nil, "active_policy_version", nil, "active_policy_digest", nil)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decode(t, text), got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// quiet checks that there is no other event: it causes one and expects it to be
// the next.
func (s *session) quiet(t *testing.T) {
	t.Helper()
	path, ino := s.newFile(t)
	d := s.act(t, "mmap", path)
	s.expect(t, s.denied(d.PID, "MMAP", path, ino))
}

// newFile makes a program in /tmp, which no policy here trusts.
func (s *session) newFile(t *testing.T) (path string, ino uint64) {
	t.Helper()
	s.files++
	path = fmt.Sprintf("/tmp/program-%d", s.files)
	return path, s.put(t, path, vm.Program())
}

// denied is the event of a refused execution of a file in /tmp by act, as the
// mode of the session has it and by the rule of strict.
func (s *session) denied(pid int, hook, path string, ino uint64) event {
	ev := event{
		"type": 1420, "event": "access", "dialect": "mainline", "verdict": s.verdict(),
		"ipe_op": "EXECUTE", "ipe_hook": hook, "comm": "act", "path": path, "dev": "tmpfs", "ino": ino, "pid": pid,
		"enforcing": s.enforcing, "rule": "DEFAULT op=EXECUTE action=DENY", "rule_kind": "op_default", "action": "DENY",
	}
	if path == "" {
		delete(ev, "path")
		delete(ev, "dev")
		delete(ev, "ino")
	}
	if l, ok := s.loaded[s.active]; ok {
		ev["active_policy_name"], ev["active_policy_version"], ev["active_policy_digest"] = s.active, l.version, l.digest
	}
	return ev
}

func (s *session) verdict() string {
	if s.enforcing {
		return "denied"
	}
	return "would_deny"
}

// with returns a copy of the event with other values; nil removes a key.
func (e event) with(pairs ...any) event {
	c := event{}
	for k, v := range e {
		c[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == nil {
			delete(c, pairs[i].(string))
		} else {
			c[pairs[i].(string)] = pairs[i+1]
		}
	}
	return c
}
