package syslog

import (
	"bytes"
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
	"syscall"
	"testing"
	"time"
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
	return newRsyslogWith(t, network, p, "imtcp", "")
}

// newRsyslogWith is newRsyslog with another module for tcp, and parameters of
// global(), as Debian has none.
func newRsyslogWith(t testing.TB, network string, p *pki, tcp, parameters string) *rsyslog {
	t.Helper()
	if _, err := os.Stat(rsyslogd); err != nil {
		t.Skip("needs rsyslogd:", err)
	}
	dir := t.TempDir()
	r := &rsyslog{t: t, network: network, dir: dir, port: freePort(t, network),
		unix: filepath.Join(dir, "log"), out: filepath.Join(dir, "out")}
	global, inputs := parameters, ""
	switch network {
	case TLS:
		cert, key := p.issue("server.test")
		global += fmt.Sprintf(` defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="%s"
			defaultNetstreamDriverCertFile="%s" defaultNetstreamDriverKeyFile="%s"`, p.ca, cert, key)
		inputs = fmt.Sprintf(`module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
			streamDriver.authMode="x509/name" permittedPeer=["client.test"])
			input(type="imtcp" address="127.0.0.1" port="%d")`, r.port)
	case TCP:
		inputs = fmt.Sprintf(`module(load="%s") input(type="%[1]s" address="127.0.0.1" port="%d")`, tcp, r.port)
	case UDP:
		inputs = fmt.Sprintf(`module(load="imudp") input(type="imudp" address="127.0.0.1" port="%d")`, r.port)
	case Unix:
		inputs = fmt.Sprintf(`module(load="imuxsock" sysSock.use="off")
			input(type="imuxsock" socket="%s" createPath="off" useSpecialParser="off" usePidFromSystem="off"
				rateLimit.interval="0")`, r.unix)
	}
	check(t, os.WriteFile(r.conf(), fmt.Appendf(nil, `
global(workDirectory="%s" net.enableDNS="off" %s)
main_queue(queue.type="direct")
module(load="mmpstrucdata")
%s
template(name="line" type="string" string="{\"parsed\":%%$!rfc5424-sd%%,%%pri:::jsonf:pri%%,%%hostname:::jsonf:host%%,%%app-name:::jsonf:app%%,%%procid:::jsonf:procid%%,%%msgid:::jsonf:msgid%%,%%msg:::jsonf:msg%%}\n")
if $app-name == "ipe-auditd" then {
	action(type="mmpstrucdata")
	action(type="omfile" file="%s" template="line" asyncWriting="off" flushOnTXEnd="on")
}
template(name="from" type="string" string="%%hostname%% %%app-name%%\n")
action(type="omfile" file="%s" template="from" asyncWriting="off" flushOnTXEnd="on")
`, dir, global, inputs, r.out, r.from()), 0o600))
	t.Cleanup(r.kill)
	r.start()
	return r
}

// from is a file with a line for each message, ours or not: whose it says it is.
func (r *rsyslog) from() string { return filepath.Join(r.dir, "from") }

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
	// With TLS it looks for a prime to begin with (gnutls_dh_params_generate2), by
	// chance for 0.03 to more than a second of processor time. So what counts is
	// whether it works, not for how long the machine lets it.
	var used, idle int64
	for looked := time.Now(); !r.listens(); time.Sleep(5 * time.Millisecond) {
		select {
		case <-done:
			r.t.Fatalf("rsyslogd ended: %s", r.said())
		default:
		}
		before := used
		if used = processorTime(r.t, cmd.Process.Pid); used > before {
			looked = time.Now()
		}
		if idle = int64(time.Since(looked)); idle > int64(patience) || used > int64(patience) {
			r.t.Fatalf("waited for rsyslogd to listen: it used %v of the processor, and did nothing for the last %v; it said: %s",
				time.Duration(used), time.Duration(idle), r.said())
		}
	}
}

// processorTime returns what a process has used, in nanoseconds (proc(5),
// /proc/PID/schedstat of each thread).
func processorTime(t testing.TB, pid int) (sum int64) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	check(t, err)
	for _, path := range threads {
		b, _ := os.ReadFile(path) // it may have ended
		var ns int64
		fmt.Sscan(string(b), &ns)
		sum += ns
	}
	return sum
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

// waitEvent waits until the event seq has come.
func (r *rsyslog) waitEvent(seq int) {
	r.t.Helper()
	r.poll(fmt.Sprintf("event %d in %s", seq, r.out), func() bool {
		b, err := os.ReadFile(r.out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.t.Fatal(err)
		}
		return bytes.Contains(b, fmt.Appendf(nil, `"seq": "%d"`, seq))
	})
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
