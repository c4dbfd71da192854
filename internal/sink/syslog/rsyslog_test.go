package syslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

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
	return &sink.Entry{Event: ev, Bytes: f(nil, ev, &format.Context{Identity: format.Identity{Spool: 7, Seq: uint64(seq), Host: []byte("node7")}})}
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
			o := Config{Network: network, Target: r.address()}
			switch network {
			case Unix:
				o.Target = r.unix
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
	s := newSink(t, Config{Network: Unix, Target: r.unix})
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
	s := newSink(t, Config{Network: TLS, Target: r.address(), CA: p.ca, Cert: cert, Key: key})
	s.settle = settleTime
	if err := s.Open(limited(t)); err != nil {
		return // refused in the handshake
	}
	if err := deliver(s, string(message(t, rfc5424Func(t), 1).Bytes)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("rsyslogd turned us down, but the message counts as delivered, or nothing was noticed: %v", err)
	}
}
