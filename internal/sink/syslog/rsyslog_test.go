package syslog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
	t       testing.TB
	network string
	dir     string
	port    int // of tcp, tls and udp
	unix    string
	out     string

	cmd  *exec.Cmd // nil before the first start
	done chan struct{}
}

func newRsyslog(t testing.TB, network string, p *pki) *rsyslog {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		t.Skip("needs rsyslogd:", err)
	}
	dir := t.TempDir()
	r := &rsyslog{t: t, network: network, dir: dir, port: freePort(t, network),
		unix: filepath.Join(dir, "log"), out: filepath.Join(dir, "out")}
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
	r.start()
	return r
}

func (r *rsyslog) conf() string { return filepath.Join(r.dir, "conf") }

func (r *rsyslog) log() string { return filepath.Join(r.dir, "said") }

// said returns what all its processes said.
func (r *rsyslog) said() string {
	b, err := os.ReadFile(r.log())
	check(r.t, err)
	return string(b)
}

func (r *rsyslog) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// start starts it and waits until it listens.
func (r *rsyslog) start() {
	r.t.Helper()
	said, err := os.OpenFile(r.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(r.t, err)
	defer said.Close()
	cmd, done := exec.Command(rsyslogd, "-n", "-iNONE", "-f", r.conf()), make(chan struct{})
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // nor does it outlive a panic
	check(r.t, cmd.Start())
	r.cmd, r.done = cmd, done
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	r.poll("rsyslogd to listen", func() bool {
		select {
		case <-done:
			r.t.Fatalf("rsyslogd ended: %s", r.said())
		default:
		}
		return r.listens()
	})
}

// listens reports whether a socket has the address. It neither connects, which
// costs rsyslogd a handshake, nor tries to bind, which may take the address away.
func (r *rsyslog) listens() bool {
	if r.network == Unix {
		_, err := os.Stat(r.unix)
		return err == nil
	}
	table, state := "/proc/net/tcp", "0A" // TCP_LISTEN
	if r.network == UDP {
		table, state = "/proc/net/udp", "07" // TCP_CLOSE, as all that are not connected
	}
	b, err := os.ReadFile(table)
	check(r.t, err)
	ip := binary.NativeEndian.Uint32([]byte{127, 0, 0, 1})
	return bytes.Contains(b, fmt.Appendf(nil, " %08X:%04X 00000000:0000 %s ", ip, r.port, state))
}

// poll waits until there is what a process and its files do not tell by themselves.
func (r *rsyslog) poll(what string, there func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %v for %s; rsyslogd said: %s", patience, what, r.said())
		}
	}
}

// kill is kill -9.
func (r *rsyslog) kill() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		await(r.t, "the end of rsyslogd", r.done)
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
	r.poll(fmt.Sprintf("%d messages in %s", n, r.out), func() bool {
		b, err := os.ReadFile(r.out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		return bytes.Count(b, []byte("\n")) >= n
	})
}

// freePort returns a port that no outgoing connection takes while rsyslogd is
// not there: one below net.ipv4.ip_local_port_range.
func freePort(t testing.TB, network string) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.N(12_000)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		var c io.Closer
		var err error
		if network == UDP {
			c, err = net.ListenPacket("udp", address)
		} else {
			c, err = net.Listen("tcp", address)
		}
		if err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
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
				check(t, s.Write(limited(t), message(t, f, i+1)))
			}
			check(t, s.Flush(limited(t)))
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
	check(t, s.Write(limited(t), message(t, f, 1)))
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
	s := newSink(t, Options{Network: TLS, Address: r.address(), CA: p.ca, Cert: cert, Key: key})
	s.settle = settleTime
	if err := s.Open(limited(t)); err != nil {
		return // refused in the handshake
	}
	if err := deliver(s, string(message(t, rfc5424Func(t), 1).Bytes)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("rsyslogd turned us down, but the message counts as delivered, or nothing was noticed: %v", err)
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
				r.start()
			}
			source.allow(total)
			select {
			case err := <-ended:
				check(t, err)
			case <-time.After(patience):
				t.Fatalf("waited %v for the runner to end: %+v", patience, run.Status())
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
	r.poll(fmt.Sprintf("event %d in the last line of %s", seq, r.out), func() bool {
		b, err := os.ReadFile(r.out)
		check(r.t, err)
		last := b[bytes.LastIndexByte(b[:max(0, len(b)-1)], '\n')+1:]
		return bytes.Contains(last, fmt.Appendf(nil, `"seq": "%d"`, seq)) && bytes.HasSuffix(last, []byte("\n"))
	})
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
