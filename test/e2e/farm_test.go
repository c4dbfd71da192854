package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald/journaltest"
)

const rsyslogd = "/usr/sbin/rsyslogd"

// configuration has a sink of every kind. DIR is the folder of the farm.
const configuration = `
source: {receive_buffer: 64MiB, companions: auto, join: 50ms, proctitle: true}
heartbeat: 24h
spool: {dir: DIR/state, size: 64MiB, memory: 8MiB, sync: 50ms}
api: {path: DIR/api.sock, mode: "0600", group: daemon}
metrics: {textfile: DIR/metrics.prom}
log: {level: warn}
sinks:
  - {type: console, format: json, raw: true}
  - {name: json, type: file, path: DIR/json, mode: "0600", group: "4711", sync: true, omit: [container]}
  - {name: text, type: file, path: DIR/text, format: text, match: {not: {events: [started, stopped]}}}
  - {name: full, type: file, path: DIR/disk/text, format: text, match: {not: {events: [started, stopped]}}}
  - {name: raw, type: file, path: DIR/raw, format: raw, coalesce: 0s, rotate: {size: 64KiB, age: 1h, keep: 1000, compress: true}}
  - {name: journal, type: journald}
  - {name: siem, type: syslog, address: "tcp://127.0.0.1:6514", facility: local3, sd_id: e2e@32473, max_message: 8000, framing: lf}
  - {name: local, type: syslog, address: "unix://DIR/local/log", rfc: 3164, match: {not: {events: [started, stopped]}}}
  - {name: stream, type: exec, command: [/bin/sh, DIR/stream.sh], mode: stream, format: json, timeout: 10m}
  - name: each
    type: exec
    command: [/bin/sh, DIR/each.sh]
    mode: each
    timeout: 10m
    max_per_minute: 6000
    from: oldest
    match:
      - {events: [access], verdicts: [denied, would_deny, allowed], ops: [EXECUTE, KMODULE, FIRMWARE, KEXEC_IMAGE, KEXEC_INITRAMFS, POLICY, X509_CERT], hooks: [BPRM_CHECK], paths: ["/tmp/**"]}
      - {events: [enforcement, policy_load, policy_activate, unparsed, lost, forged, audit_config]}
      - {events: [access], units: [no-such.service], users: ["4711"], containers: [none]}
`

// The scripts of the sinks of type exec. A line is read byte by byte, so what
// the stream has read and not written is one line at most. While there is a file
// "hold", each run hangs.
const (
	streamScript = `echo $$ >DIR/stream.pid
while IFS= read -r line; do printf '%s\n' "$line" >>DIR/stream; done
`
	eachScript = `while test -e DIR/hold; do sleep 0.05; done
IFS= read -r line
printf '%s %s\n' "$IPE_COALESCED" "$line" >>DIR/each
`
)

// farm is the receivers of one daemon.
type farm struct {
	t       *testing.T
	dir     string
	journal *journaltest.Journal
	siem    *syslogd
	local   *syslogd
	kills   int // of daemons
	ends    int // of daemons and receivers, after which events may come again
}

func newFarm(t *testing.T) *farm {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		t.Skip("needs rsyslogd:", err)
	}
	f := &farm{t: t, journal: journaltest.Start(t)}
	// Not t.TempDir: the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "e2e")
	check(t, err)
	f.dir = dir
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Mkdir(f.path("disk"), 0o700))
	for name, text := range map[string]string{"conf.yaml": configuration, "stream.sh": streamScript, "each.sh": eachScript} {
		check(t, os.WriteFile(f.path(name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600))
	}
	ready := exec.Command(os.Args[0])
	ready.Env = append(os.Environ(), prepareEnv+"="+f.path("disk"))
	f.within(ready)

	f.siem = f.syslogd("siem", `module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="6514")`)
	f.local = f.syslogd("local", fmt.Sprintf(`module(load="imuxsock" sysSock.use="off")
		input(type="imuxsock" socket="%s/local/log" createPath="off" useSpecialParser="off"
			usePidFromSystem="off" rateLimit.interval="0")`, dir))
	f.siem.start()
	f.local.start()
	return f
}

func (f *farm) path(name string) string { return filepath.Join(f.dir, name) }

// read returns a file, which may not be there yet.
func (f *farm) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	return b
}

// within runs a command in the namespaces and returns what it prints.
func (f *farm) within(cmd *exec.Cmd) []byte {
	f.t.Helper()
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := f.journal.Run(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		f.t.Fatalf("%q: %v\n%s", cmd.Args, err, &stderr)
	}
	return out.Bytes()
}

// start starts a daemon in the namespaces. Its stdout is the console, and both
// streams are appended to files.
func (f *farm) start(cmd *exec.Cmd) *process {
	f.t.Helper()
	out, stderr := f.appendTo("console"), f.appendTo("stderr")
	defer out.Close()
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = out, stderr
	check(f.t, f.journal.Run(cmd))
	return watch(f.t, cmd)
}

func (f *farm) appendTo(name string) *os.File {
	f.t.Helper()
	file, err := os.OpenFile(f.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	check(f.t, err)
	return file
}

// said is what all daemons wrote to stderr, for a message.
func (f *farm) said() []byte { return tail(f.read("stderr")) }

// live starts a daemon that listens at socket, and waits until it does.
func (f *farm) live(socket *os.File) *process {
	f.t.Helper()
	r, w, err := os.Pipe()
	check(f.t, err)
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), daemonEnv+"="+f.path("conf.yaml"), "TZ=UTC")
	cmd.ExtraFiles = []*os.File{socket, w}
	p := f.start(cmd)
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		f.t.Fatalf("the daemon does not listen: %v\n%s", err, f.said())
	}
	return p
}

// end ends a daemon in order.
func (f *farm) end(p *process) {
	f.t.Helper()
	p.signal(syscall.SIGTERM)
	<-p.done
	if p.err != nil {
		f.t.Errorf("the daemon: %v\n%s", p.err, f.said())
	}
}

// status asks the daemon that listens.
func (f *farm) status() *api.Status {
	f.t.Helper()
	_, st, err := api.NewClient(f.path("api.sock")).Status(context.Background())
	check(f.t, err)
	return st
}

// streamPID is the process of the sink "stream" that started last.
func (f *farm) streamPID() int {
	f.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(string(f.read("stream.pid"))))
	check(f.t, err)
	return pid
}

// syslogd is a real rsyslogd. It writes each message before it reads the next.
type syslogd struct {
	farm    *farm
	name    string // of its folder, and of the sink that speaks to it
	process *process
}

func (f *farm) syslogd(name, input string) *syslogd {
	f.t.Helper()
	check(f.t, os.Mkdir(f.path(name), 0o700))
	s := &syslogd{farm: f, name: name}
	check(f.t, os.WriteFile(s.path("conf"), fmt.Appendf(nil, `
global(workDirectory="%s" maxMessageSize="128k" net.enableDNS="off")
main_queue(queue.type="direct")
module(load="mmpstrucdata")
%s
template(name="line" type="string" string="{\"facility\":\"%%syslogfacility-text%%\",\"parsed\":%%$!rfc5424-sd%%,%%msg:::jsonf:msg%%}\n")
if $app-name == "ipe-auditd" then {
	action(type="mmpstrucdata")
	action(type="omfile" file="%s" template="line" asyncWriting="off" flushOnTXEnd="on")
}
`, s.path(""), input, s.path("out")), 0o600))
	return s
}

func (s *syslogd) path(name string) string { return filepath.Join(s.farm.dir, s.name, name) }

func (s *syslogd) start() {
	t := s.farm.t
	t.Helper()
	said := s.farm.appendTo(s.name + "/said")
	defer said.Close()
	cmd := exec.Command(rsyslogd, "-n", "-iNONE", "-f", s.path("conf"))
	cmd.Stdout, cmd.Stderr = said, said
	check(t, s.farm.journal.Run(cmd))
	s.process = watch(t, cmd)
	// The sinks go on trying until it listens.
}

// restart kills it and starts it again, with its file repaired, which rsyslogd
// does not do.
func (s *syslogd) restart() {
	t := s.farm.t
	t.Helper()
	s.farm.ends++
	s.process.kill()
	if b := s.farm.read(s.name + "/out"); len(b) > 0 {
		check(t, os.Truncate(s.path("out"), int64(bytes.LastIndexByte(b, '\n')+1)))
	}
	s.start()
}
