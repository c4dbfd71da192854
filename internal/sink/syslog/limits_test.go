package syslog

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// usualMessage is the default of max_message on streams.
const usualMessage = 8096

// forgery returns a path of about 3,800 bytes, 840 of which are not UTF-8, that is
// full of what a receiver could take for messages of other hosts. Which of them a
// cut hits depends on shift.
func forgery(shift int) []byte {
	path := append([]byte("/tmp/"), strings.Repeat("a", shift)...)
	path = append(path, bytes.Repeat([]byte{0xff}, 840)...)
	for len(path) < 3800 {
		path = append(path, "<13>1 2026-11-30T12:00:00Z victim su 1 - - was here 99 <13>Nov 30 12:00:00 victim su[1]: was here\nvictim "...)
	}
	return path
}

// forged formats a denial of such a path.
func forged(t testing.TB, f format.Func, seq int) *sink.Entry {
	t.Helper()
	record := fmt.Appendf(nil, `audit(1795440938.497:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=2204 comm="sh" `+
		`path=%X dev="vda2" ino=1024 rule="DEFAULT op=EXECUTE action=DENY"`, seq, forgery(7*seq))
	var d ipe.Decoder
	ev := new(ipe.Event)
	if c := d.Decode(ev, 1420, record); c != ipe.ClassIPE || ev.Kind != ipe.KindAccess {
		t.Fatalf("class %v, %v", c, ev.Kind)
	}
	return &sink.Entry{Event: ev, Bytes: f(nil, ev, &format.Context{Identity: format.Identity{Spool: 7, Seq: uint64(seq), Host: []byte("node7")}})}
}

// A denial makes one message in a receiver that nobody has configured, however long
// its path is, and the message says that it was shortened.
func TestStockRsyslogTakesLongMessagesWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ network, module, framing string }{
		{TCP, "imtcp", Octet}, {TCP, "imtcp", LF}, {TCP, "imptcp", Octet}, {TCP, "imptcp", LF},
		{TLS, "imtcp", Octet}, {TLS, "imtcp", LF},
	} {
		t.Run(strings.Join([]string{tt.network, tt.module, tt.framing}, " "), func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			r := newRsyslogWith(t, tt.network, p, tt.module, "")
			o := Config{Network: tt.network, Target: r.address(), MaxMessage: usualMessage, Framing: tt.framing}
			if tt.network == TLS {
				o.CA = p.ca
				o.Cert, o.Key = p.issue("client.test")
			}
			s := newSink(t, o)
			open(t, s)
			f := rfc5424Func(t)
			const n = 20
			for i := range n - 1 {
				check(t, s.Write(limited(t), forged(t, f, i+1)))
			}
			check(t, s.Write(limited(t), message(t, f, n)))
			check(t, s.Flush(limited(t)))
			r.wait(n)
			for i, l := range r.lines() {
				p := l.Parsed["ipe@32473"]
				if p["seq"] != fmt.Sprint(i+1) || p["verdict"] != "denied" || (p["shortened"] == "") != (i == n-1) ||
					p["rule"] != "DEFAULT op=EXECUTE action=DENY" {
					t.Errorf("message %d: got %v", i+1, p)
				}
			}
			r.checkFrom(n)
		})
	}
}

// checkFrom checks that there were n messages, and that all say they are ours.
func (r *rsyslog) checkFrom(n int) {
	r.t.Helper()
	b, err := os.ReadFile(r.from())
	check(r.t, err)
	if want := strings.Repeat("node7 ipe-auditd\n", n); string(b) != want {
		r.t.Errorf("messages were taken for those of\n%s", b)
	}
}

// Datagrams that are too long for a receiver lose their end there.
func TestStockRsyslogTakesLongDatagrams(t *testing.T) {
	t.Parallel()
	for _, network := range []string{UDP, Unix} {
		for _, limit := range []units.Size{0, usualMessage} {
			t.Run(fmt.Sprint(network, " ", limit), func(t *testing.T) {
				t.Parallel()
				r := newRsyslog(t, network, nil)
				o := Config{Network: network, Target: r.address(), MaxMessage: limit}
				if network == Unix {
					o.Target = r.unix
				}
				s := newSink(t, o)
				open(t, s)
				f := rfc5424Func(t)
				const n = 5
				for i := range n {
					check(t, s.Write(limited(t), forged(t, f, i+1)))
				}
				check(t, s.Flush(limited(t)))
				r.wait(n)
				r.checkFrom(n)
			})
		}
	}
}

// Where the receiver takes less than the sink was told, it makes messages of what
// it cut off. None of them is of a host that a path names: what is taken for a host
// is a word of ours, a number, or a word of the policy.
func TestNoPathNamesTheHostOfWhatRsyslogCutsOff(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{Octet, LF} {
		for _, limit := range []string{"1k", "2k", "5001"} {
			t.Run(framing+" "+limit, func(t *testing.T) {
				t.Parallel()
				r := newRsyslogWith(t, TCP, nil, "imtcp", `maxMessageSize="`+limit+`"`)
				s := newSink(t, Config{Network: TCP, Target: r.address(), MaxMessage: 1 << 20, Framing: framing})
				open(t, s)
				f := rfc5424Func(t)
				for i := range 40 {
					check(t, s.Write(limited(t), forged(t, f, i+1)))
				}
				check(t, s.Write(limited(t), &sink.Entry{Bytes: []byte("<13>1 - last last - - -")}))
				check(t, s.Flush(limited(t)))
				r.poll("the last message", func() bool {
					b, _ := os.ReadFile(r.from())
					return bytes.HasSuffix(b, []byte("last last\n"))
				})
				b, err := os.ReadFile(r.from())
				check(t, err)
				if n := bytes.Count(b, []byte("\n")); n < 100 {
					t.Errorf("%d messages, want many: this receiver has cut nothing", n)
				}
				trusted := "node7 127.0.0.1 last 0123456789 DENIED EXECUTE BPRM_CHECK DEFAULT 2204 1024 DENY"
				for line := range strings.Lines(string(b)) {
					if host, _, _ := strings.Cut(line, " "); !strings.Contains(trusted, host) {
						t.Errorf("a message says that it is of %q", line)
					}
				}
			})
		}
	}
}

// syslog-ng ends the connection when a frame is too long, and cuts lines in two.
func TestStockSyslogNGTakesLongMessagesWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, framing string }{
		{"syslog", `syslog(ip(127.0.0.1) port(%d) transport(tcp) log-msg-size(8192));`, Octet},
		{"network lf", `network(ip(127.0.0.1) port(%d) transport(tcp) flags(syslog-protocol) log-msg-size(8192));`, LF},
		{"default size", `syslog(ip(127.0.0.1) port(%d) transport(tcp));`, Octet},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newSyslogNG(t, tt.source)
			s := newSink(t, Config{Network: TCP, Target: r.address(), MaxMessage: usualMessage, Framing: tt.framing})
			open(t, s)
			f := rfc5424Func(t)
			const n = 20
			for i := range n {
				check(t, s.Write(limited(t), forged(t, f, i+1)))
			}
			check(t, s.Flush(limited(t)))
			lines := r.lines(n)
			if len(lines) != n {
				t.Errorf("%d messages, want %d", len(lines), n)
			}
			ours := regexp.MustCompile(`^node7\tipe-auditd\t\[ipe@32473 .* shortened="`)
			for i, l := range lines {
				if !ours.MatchString(l) || !strings.Contains(l, fmt.Sprintf(` seq="%d"`, i+1)) {
					t.Errorf("message %d: %s", i+1, l)
				}
			}
		})
	}
}
