package syslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const rsyslogd = "/usr/sbin/rsyslogd"

// rsyslog is a real rsyslogd with its own configuration, that hears everything
// on loopback addresses and a socket of its own. It writes each message before
// it reads the next one.
type rsyslog struct {
	t    testing.TB
	dir  string
	port int // of tcp, tls and udp
	unix string
	out  string

	cmd  *exec.Cmd
	said *bytes.Buffer
	done chan struct{}
}

func newRsyslog(t testing.TB, network string, p *pki) *rsyslog {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		t.Skip("needs rsyslogd:", err)
	}
	dir := t.TempDir()
	r := &rsyslog{t: t, dir: dir, port: freePort(t), unix: filepath.Join(dir, "log"), out: filepath.Join(dir, "out")}
	global, inputs := "", ""
	switch network {
	case TLS:
		cert, key := p.issue("server.test")
		global = fmt.Sprintf(`defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%s"
			defaultNetstreamDriverCertFile="%s" defaultNetstreamDriverKeyFile="%s"`, p.ca, cert, key)
		inputs = fmt.Sprintf(`module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
			streamDriver.authMode="x509/name" permittedPeer=["client.test"])
			input(type="imtcp" address="127.0.0.1" port="%d")`, r.port)
	case TCP:
		inputs = fmt.Sprintf(`module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="%d")`, r.port)
	case UDP:
		inputs = fmt.Sprintf(`module(load="imudp") input(type="imudp" address="127.0.0.1" port="%d")`, r.port)
	case Unix:
		inputs = fmt.Sprintf(`module(load="imuxsock" sysSock.use="off")
			input(type="imuxsock" socket="%s" createPath="off" useSpecialParser="off" usePidFromSystem="off"
				rateLimit.interval="0")`, r.unix)
	}
	check(t, os.WriteFile(r.conf(), fmt.Appendf(nil, `
global(workDirectory="%s" maxMessageSize="128k" net.enableDNS="off" %s)
main_queue(queue.type="direct")
module(load="mmpstrucdata")
%s
template(name="line" type="string" string="{\"parsed\":%%$!rfc5424-sd%%,%%pri:::jsonf:pri%%,%%hostname:::jsonf:host%%,%%app-name:::jsonf:app%%,%%procid:::jsonf:procid%%,%%msgid:::jsonf:msgid%%,%%msg:::jsonf:msg%%}\n")
if $app-name == "ipe-auditd" then {
	action(type="mmpstrucdata")
	action(type="omfile" file="%s" template="line" asyncWriting="off" flushOnTXEnd="on")
}
`, dir, global, inputs, r.out), 0o600))
	t.Cleanup(r.kill)
	r.start(network)
	return r
}

func (r *rsyslog) conf() string { return filepath.Join(r.dir, "conf") }

func (r *rsyslog) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// start starts it and waits until it listens.
func (r *rsyslog) start(network string) {
	r.t.Helper()
	r.said, r.done = new(bytes.Buffer), make(chan struct{})
	r.cmd = exec.Command(rsyslogd, "-n", "-iNONE", "-f", r.conf())
	r.cmd.Stdout, r.cmd.Stderr = r.said, r.said
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(r.t, r.cmd.Start())
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		cmd.Wait()
	}(r.cmd, r.done)
	for deadline := time.Now().Add(20 * time.Second); !r.listens(network); {
		select {
		case <-r.done:
			r.t.Fatalf("rsyslogd ended: %s", r.said)
		case <-time.After(10 * time.Millisecond): // it does not say when it is ready
		}
		if time.Now().After(deadline) {
			r.t.Fatal("rsyslogd does not listen")
		}
	}
}

// listens reports whether the address is taken.
func (r *rsyslog) listens(network string) bool {
	switch network {
	case Unix:
		c, err := net.Dial("unixgram", r.unix)
		if err == nil {
			c.Close()
		}
		return err == nil
	case UDP:
		c, err := net.ListenPacket("udp", r.address())
		if err == nil {
			c.Close()
		}
		return err != nil
	}
	c, err := net.Dial("tcp", r.address())
	if err == nil {
		c.Close()
	}
	return err == nil
}

// kill is kill -9.
func (r *rsyslog) kill() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		<-r.done
	}
}

// cutTornLine does what rsyslogd does not: repairs its file after a kill.
func (r *rsyslog) cutTornLine() {
	b, err := os.ReadFile(r.out)
	check(r.t, err)
	check(r.t, os.Truncate(r.out, int64(bytes.LastIndexByte(b, '\n')+1)))
}

// line is what rsyslogd made of a message.
type line struct {
	Pri, Host, App, ProcID, MsgID, Msg string
	Parsed                             map[string]map[string]string // by mmpstrucdata
}

// lines returns the whole lines written so far.
func (r *rsyslog) lines() (all []line) {
	b, err := os.ReadFile(r.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	for s := range strings.Lines(string(b)) {
		var l line
		// Without structured data the template has nothing there.
		if err := json.Unmarshal([]byte(strings.Replace(s, `"parsed":,`, "", 1)), &l); err != nil {
			r.t.Fatalf("%v in %s", err, s)
		}
		all = append(all, l)
	}
	return all
}

// wait waits until there are n lines.
func (r *rsyslog) wait(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		b, err := os.ReadFile(r.out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		got := bytes.Count(b, []byte("\n"))
		if got >= n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d of %d messages arrived", got, n)
		}
		time.Sleep(10 * time.Millisecond) // files have no event to wait for
	}
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// record is a denial with everything in its path that a receiver could trip
// over: a newline, a quote, a closing bracket, and a byte that is not UTF-8.
const record = `audit(1795440938.497:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=2204 comm="sh" ` +
	`path=2F746D702F610A225D5CFF dev="vda2" ino=1024 rule="DEFAULT op=EXECUTE action=DENY"`

// message formats a record as the runner does.
func message(t testing.TB, f format.Func, seq int) *sink.Entry {
	t.Helper()
	var d ipe.Decoder
	ev := new(ipe.Event)
	if c := d.Decode(ev, 1420, fmt.Appendf(nil, record, seq)); c != ipe.ClassIPE {
		t.Fatalf("class %v", c)
	}
	return &sink.Entry{Event: ev, Bytes: f(nil, ev, &format.Context{Spool: 7, Seq: uint64(seq), Host: "node7"})}
}

func rfc5424Func(t testing.TB) format.Func {
	f, err := format.Syslog{Facility: 10, SDID: "ipe@32473", PID: 77}.RFC5424()
	check(t, err)
	return f
}

func TestRsyslogReadsEveryTransport(t *testing.T) {
	t.Parallel()
	for _, network := range []string{Unix, UDP, TCP, TLS} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			r := newRsyslog(t, network, p)
			o := Options{Network: network, Address: r.address()}
			switch network {
			case Unix:
				o.Address = r.unix
			case TLS:
				o.CA = p.ca
				o.Cert, o.Key = p.issue("client.test")
			}
			s := newSink(t, o)
			open(t, s)
			f := rfc5424Func(t)
			const n = 20
			for i := range n {
				check(t, s.Write(context.Background(), message(t, f, i+1)))
			}
			check(t, s.Flush(context.Background()))
			r.wait(n)
			for i, l := range r.lines() {
				checkLine(t, i+1, l)
			}
		})
	}
}

func checkLine(t *testing.T, seq int, l line) {
	t.Helper()
	head := []string{l.Pri, l.Host, l.App, l.ProcID, l.MsgID}
	if diff := cmp.Diff([]string{"83", "node7", "ipe-auditd", "77", "access"}, head); diff != "" {
		t.Errorf("header -want +got:\n%s", diff)
	}
	got := l.Parsed["ipe@32473"]
	want := map[string]string{
		"seq": strconv.Itoa(seq), "verdict": "denied", "path_hex": "2F746D702F610A225D5CFF",
		"path": "/tmp/a\ufffd\"]\\\ufffd", "rule": "DEFAULT op=EXECUTE action=DENY",
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("seq %d: %s is %q, want %q", seq, k, got[k], v)
		}
	}
	if !strings.HasPrefix(strings.TrimPrefix(l.Msg, " "), "DENIED EXECUTE BPRM_CHECK") {
		t.Errorf("msg: %q", l.Msg)
	}
}

func TestRsyslogReadsTheLocalForm(t *testing.T) {
	t.Parallel()
	r := newRsyslog(t, Unix, nil)
	f, err := format.Syslog{Facility: 10, PID: 77}.RFC3164()
	check(t, err)
	s := newSink(t, Options{Network: Unix, Address: r.unix})
	open(t, s)
	check(t, s.Write(context.Background(), message(t, f, 1)))
	r.wait(1)
	l := r.lines()[0]
	if l.Pri != "83" || l.App != "ipe-auditd" || l.ProcID != "77" || !strings.Contains(l.Msg, "DENIED EXECUTE") {
		t.Errorf("got %+v", l)
	}
}

func TestRsyslogRefusesAnUnknownClient(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	r := newRsyslog(t, TLS, p)
	cert, key := p.issue("stranger.test")
	s, err := New(Options{Network: TLS, Address: r.address(), CA: p.ca, Cert: cert, Key: key})
	check(t, err)
	defer s.Close()
	if err := s.Open(context.Background()); err != nil {
		return // refused in the handshake
	}
	if err := deliver(s, string(message(t, rfc5424Func(t), 1).Bytes)); err == nil {
		t.Error("rsyslogd turned us down, but the message counts as delivered")
	}
}

// A real rsyslogd is killed again and again in the middle of a flood. Behind the
// runner, nothing is lost and nothing is out of order within a connection.
func TestKilledRsyslogLosesNothing(t *testing.T) {
	t.Parallel()
	for _, network := range []string{TCP, TLS} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			r := newRsyslog(t, network, p)
			o := Options{Network: network, Address: r.address()}
			if network == TLS {
				o.CA = p.ca
				o.Cert, o.Key = p.issue("client.test")
			}
			const total, kills = 8_000, 3
			source := &records{total: total}
			run := sink.New(sink.Config{Name: "siem", Sink: newSink(t, o), Source: source, Format: rfc5424Func(t)})
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() { ended <- run.Run(ctx) }()
			for i := range kills {
				source.allow((i + 1) * total / (kills + 1))
				r.wait(i*total/(kills+1) + 300)
				r.kill()
				r.cutTornLine()
				r.start(network)
			}
			source.allow(total)
			select {
			case err := <-ended:
				check(t, err)
			case <-time.After(60 * time.Second):
				t.Fatalf("does not end: %+v", run.Status())
			}
			r.waitFor(total)
			checkOrder(t, r.lines(), total)
			if run.Status().Failures < kills {
				t.Errorf("%d failures, want one for each of %d kills", run.Status().Failures, kills)
			}
		})
	}
}

// waitFor waits until the event seq is in the last line.
func (r *rsyslog) waitFor(seq int) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(r.out)
		check(r.t, err)
		last := b[bytes.LastIndexByte(b[:max(0, len(b)-1)], '\n')+1:]
		if bytes.Contains(last, fmt.Appendf(nil, `"seq": "%d"`, seq)) && bytes.HasSuffix(last, []byte("\n")) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("event %d has not arrived; the last line is %.300s", seq, last)
		}
	}
}

// checkOrder checks that all events are there, and that the numbers go up by one
// except where they were sent again.
func checkOrder(t *testing.T, all []line, total int) {
	t.Helper()
	next, last, again := 1, 0, 0
	for _, l := range all {
		seq, err := strconv.Atoi(l.Parsed["ipe@32473"]["seq"])
		check(t, err)
		if seq > last+1 && seq > next {
			t.Fatalf("%d after %d: %d events are missing", seq, last, seq-next)
		}
		if seq <= last {
			again++
		}
		last, next = seq, max(next, seq+1)
	}
	if next != total+1 {
		t.Errorf("the last event is %d, want %d", next-1, total)
	}
	t.Logf("%d lines for %d events, sent again from an earlier one %d times", len(all), total, again)
}

// records is a source of the runner that gives records as far as it is allowed.
type records struct {
	total int

	next  int // sequence number of the last one given
	entry spool.Entry

	mu    sync.Mutex
	limit int
	more  chan struct{}
}

func (r *records) allow(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = n
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

func (r *records) TryNext() (*spool.Entry, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= r.total {
		return nil, false, io.EOF
	}
	if r.next >= r.limit {
		return nil, false, nil
	}
	r.next++
	r.entry = spool.Entry{ID: 7, Seq: uint64(r.next), Type: 1420, Data: fmt.Appendf(nil, record, r.next)}
	return &r.entry, true, nil
}

func (r *records) Next(ctx context.Context) (*spool.Entry, error) {
	for {
		if e, ok, err := r.TryNext(); ok || err != nil {
			return e, err
		}
		r.mu.Lock()
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		if r.next < r.limit {
			more = nil
		}
		r.mu.Unlock()
		if more == nil {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *records) Rewind(c spool.Cursor) { r.next = int(c.Seq) }
