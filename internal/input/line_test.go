package input

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	stamp = "audit(1795440701.244:47): "
	body  = `ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="labtool" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`
	text  = stamp + body
	v7    = `IPE ctx_pid=229 ctx_op=EXECUTE ctx_hook=MMAP ctx_enforce=0 ctx_comm="grep" ctx_pathname="/usr/lib/libc-2.23.so" ctx_ino=532 ctx_dev=vda rule="DEFAULT op=EXECUTE action=DENY"`
)

var lines = []struct {
	name string
	line string
	typ  uint16
	text string
}{
	{"number", "type=1420 " + text, 1420, text},
	{"number, msg", "type=1420 msg=" + text, 1420, text},
	{"unknown to auditd", "type=UNKNOWN[1420] msg=" + text, 1420, text},
	{"name", "type=IPE_ACCESS msg=" + text, 1420, text},
	{"name with AUDIT_", "type=AUDIT_IPE_ACCESS msg=" + text, 1420, text},
	{"name as journald has it", "type=AUDIT1420 msg=" + text, 1420, text},
	{"config change", "type=IPE_CONFIG_CHANGE msg=" + stamp + "old_active_pol_name=?", 1421, stamp + "old_active_pol_name=?"},
	{"policy load", "type=IPE_POLICY_LOAD msg=" + stamp + "policy_name=?", 1422, stamp + "policy_name=?"},
	{"status", "type=MAC_STATUS msg=" + stamp + "enforcing=0", 1404, stamp + "enforcing=0"},
	{"RFC v9 load", "type=MAC_POLICY_LOAD msg=" + stamp + "policy_name=", 1403, stamp + "policy_name="},
	{"RFC v9 activation", "type=MAC_CONFIG_CHANGE msg=" + stamp + "old", 1405, stamp + "old"},
	{"Landlock", "type=LANDLOCK_ACCESS msg=" + stamp + "domain=1c", 1423, stamp + "domain=1c"},
	{"RFC v7", "type=TRUST_STATUS msg=" + stamp + "IPE enforce=1", 1423, stamp + "IPE enforce=1"},
	{"RFC v1", "type=INTEGRITY_EVENT msg=" + stamp + "IPE ctx_pid=1", 1810, stamp + "IPE ctx_pid=1"},
	{"empty body", "type=1404 " + stamp, 1404, stamp},
	{"empty body without its blank", "type=1404 " + strings.TrimRight(stamp, " "), 1404, strings.TrimRight(stamp, " ")},
	{"cut stamp", "type=1420 audit(17954", 1420, "audit(17954"},
	{"no stamp", "type=1420 " + body, 1420, body},
	{"node", "node=vm.example.com type=UNKNOWN[1420] msg=" + text, 1420, text},
	{"enriched", "type=UNKNOWN[1422] msg=" + stamp + "auid=1000 res=1\x1dAUID=\"user\"", 1422, stamp + "auid=1000 res=1"},
	{"enriched, nothing", "type=UNKNOWN[1422] msg=" + stamp + "res=1\x1d", 1422, stamp + "res=1"},
	{"0x1d and half a field", "type=UNKNOWN[1422] msg=" + stamp + "res=1\x1dAUID", 1422, stamp + "res=1\x1dAUID"},
	{"0x1d in a policy name", "type=1422 msg=" + stamp + "policy_name=\"a\x1db\" res=1", 1422, stamp + "policy_name=\"a\x1db\" res=1"},
	{"0x1d in a policy name, enriched", "type=1422 msg=" + stamp + "policy_name=\"a\x1db\" res=1\x1dAUID=\"root\"", 1422, stamp + "policy_name=\"a\x1db\" res=1"},
	{"0x1d and what looks like a field in a policy name", "type=1422 msg=" + stamp + "policy_name=\"a\x1dA=b\" res=1", 1422, stamp + "policy_name=\"a\x1dA=b\" res=1"},
	{"NUL behind it", "type=1420 " + text + "\x00", 1420, text},
	{"NUL before it", "\x00\x00\x00type=1420 " + text, 1420, text},
	{"other type by number", "type=1300 " + stamp + "arch=c000003e", 1300, stamp + "arch=c000003e"},

	{"mail", "AUDIT1420 " + v7, 1420, v7},
	{"mail, indented", "       AUDIT1420 " + v7, 1420, v7},
	{"mail, quoted", "> >   AUDIT1420 " + v7, 1420, v7},
	{"mail, tab", "\tAUDIT1423 IPE enforce=1", 1423, "IPE enforce=1"},
	{"mail, with stamp", "AUDIT1420 " + stamp + v7, 1420, stamp + v7},
	{"named message", "IPE_ACCESS " + body, 1420, body},

	{"kernel log", "audit: type=1420 " + text, 1420, text},
	{"dmesg", "[   12.345678] audit: type=1420 " + text, 1420, text},
	{"dmesg, long uptime", "[12345678.345678] audit: type=1420 " + text, 1420, text},
	{"dmesg -r", "<5>[   12.345678] audit: type=1420 " + text, 1420, text},
	{"dmesg -x", "kern  :notice: [   12.345678] audit: type=1420 " + text, 1420, text},
	{"dmesg -x, short level", "kern  :info  : [   12.345678] audit: type=1420 " + text, 1420, text},
	{"dmesg -T", "[Mon Nov 23 15:31:30 2026] audit: type=1420 " + text, 1420, text},
	{"dmesg -T -x", "kern  :notice: [Mon Nov 23 15:31:30 2026] audit: type=1420 " + text, 1420, text},
	{"dmesg -d", "[    0.324717 <    0.000145>] audit: type=1420 " + text, 1420, text},
	{"dmesg -T -d", "[Mon Nov 23 15:31:30 2026 <    0.000145>] audit: type=1420 " + text, 1420, text},
	{"dmesg -e", "[Nov23 15:31] audit: type=1420 " + text, 1420, text},
	{"dmesg -e, distance", "[  +0.000145] audit: type=1420 " + text, 1420, text},
	{"dmesg iso", "2026-11-23T15:31:30,324717+00:00 audit: type=1420 " + text, 1420, text},
	{"dmesg -t", "audit: type=1420 " + text, 1420, text},
	{"dmesg, caller", "[   12.345678] [  T123] audit: type=1420 " + text, 1420, text},
	{"console, caller", "[   12.345678][    C0] audit: type=1420 " + text, 1420, text},
	{"kmsg", "5,165,324717,-;audit: type=1420 " + text, 1420, text},
	{"kmsg, caller", "5,165,324717,-,caller=T1;audit: type=1420 " + text, 1420, text},
	{"kmsg, escaped", `5,165,324717,-;audit: type=1422 ` + stamp + `policy_name="a\x5cb\x1b\xc3\xa9\xzz"`,
		1422, stamp + "policy_name=\"a\\b\x1b\u00e9\\xzz\""},

	{"syslog", "Nov 23 13:35:38 vm kernel: [   12.345678] audit: type=1420 " + text, 1420, text},
	{"syslog, no uptime", "Nov  3 13:35:38 vm kernel: audit: type=1420 " + text, 1420, text},
	{"syslog, caller", "Nov  3 13:35:38 vm kernel: [   12.3][ T1] audit: type=1420 " + text, 1420, text},
	{"syslog, RFC 3339", "2026-11-23T13:35:38.497+00:00 vm kernel: audit: type=1420 " + text, 1420, text},
	{"syslog, UTC", "2026-11-23T13:35:38Z vm kernel: [   12.345678] audit: type=1420 " + text, 1420, text},
	{"syslog, busybox", "Nov 23 13:35:38 vm kern.notice kernel: [   12.345678] audit: type=1420 " + text, 1420, text},
	{"syslog, RFC 5424", "<5>1 2026-11-23T13:35:38.497+00:00 vm kernel - - - audit: type=1420 " + text, 1420, text},
	{"syslog, RFC 5424, rsyslog", "<5>1 2026-11-23T13:35:38.497+00:00 vm kernel - - -  [   12.345678] audit: type=1420 " + text, 1420, text},
	{"journalctl", "Nov 23 13:35:38 vm audit[570]: AUDIT1420 " + body, 1420, body},
	{"journalctl, no pid", "Nov 23 13:35:38 vm audit: AUDIT1422 policy_name=?", 1422, "policy_name=?"},
	{"journalctl, named", "Nov 23 13:35:38 vm audit[570]: IPE_ACCESS " + body, 1420, body},
	{"journalctl --no-hostname", "Nov 23 13:35:38 audit[570]: AUDIT1420 " + body, 1420, body},
	{"journalctl --no-hostname, kernel", "Nov 23 13:35:38 kernel: audit: type=1420 " + text, 1420, text},
}

func TestLinesOfEveryForm(t *testing.T) {
	t.Parallel()
	var all []byte
	var want []record
	for _, tt := range lines {
		t.Run(tt.name, func(t *testing.T) {
			for _, end := range []string{"", "\n", "\r\n"} {
				got, passed := readAll(t, []byte(tt.line+end))
				if d := cmp.Diff([]record{{Type: tt.typ, Text: tt.text}}, got); d != "" || passed != 0 {
					t.Errorf("end %q: passed over %d, -want +got\n%s", end, passed, d)
				}
			}
		})
		all = append(all, tt.line...)
		all = append(all, "\nsomething else\n\n"...)
		want = append(want, record{Type: tt.typ, Text: tt.text})
	}
	got, passed := readAll(t, all)
	if d := cmp.Diff(want, got); d != "" || passed != uint64(len(lines)) {
		t.Errorf("in one file: passed over %d of %d, -want +got\n%s", passed, len(lines), d)
	}
}

// What a crash leaves: the half of a line, NULs, and the next line.
func TestNULEndsALine(t *testing.T) {
	t.Parallel()
	in := "type=1420 " + stamp + "ipe_op=EXE\x00\x00\x00type=1420 " + text + "\x00\x00\nx\x00y\n\x00\n"
	got, passed := readAll(t, []byte(in))
	want := []record{{Type: 1420, Text: stamp + "ipe_op=EXE"}, {Type: 1420, Text: text}}
	if d := cmp.Diff(want, got); d != "" || passed != 2 {
		t.Errorf("passed over %d, -want +got\n%s", passed, d)
	}
}

func TestOtherLinesArePassedOver(t *testing.T) {
	t.Parallel()
	kernel := "audit: type=1420 " + text
	for _, tt := range []struct{ name, line string }{
		{"prose", "see type=1420 in the manual"},
		{"inside another record's text", "type=USER_AVC msg=audit(1.000:2): pid=1 msg='type=1420 " + text + "'"},
		{"a name that is not IPE's", "type=USER_LOGIN msg=" + stamp + "arch=c000003e"},
		{"no type", "type= " + text},
		{"type 0", "type=0 " + text},
		{"type too large", "type=66956 " + text},
		{"type too long", "type=142000000000000000000000001420 " + text},
		{"negative type", "type=-1420 " + text},
		{"half a name", "type=UNKNOWN[1420 msg=" + text},
		{"type alone", "type=1420"},
		{"node alone", "node=vm"},
		{"ausearch separator", "----"},
		{"ausearch time", "time->Mon Nov 23 13:31:41 2026"},
		{"binary", "\x80\xff\x01\x02"},
		{"indented as far as journalctl does", strings.Repeat(" ", 18) + kernel},
		{"indented as far as dmesg does", strings.Repeat(" ", 15) + kernel},
		{"other tag", "Nov 23 13:35:38 vm mallory: " + kernel},
		{"other tag with pid", "Nov 23 13:35:38 vm mallory[999]: " + kernel},
		{"other tag, RFC 5424", "<5>1 2026-11-23T13:35:38.497+00:00 vm mallory - - - " + kernel},
		{"other facility, RFC 5424", "<13>1 2026-11-23T13:35:38.497+00:00 vm kernel - - - " + kernel},
		{"other tag, no host", "Nov 23 13:35:38 mallory: kernel: " + kernel},
		{"other tag, uptime", "[    4.007000] vm mallory: " + kernel},
		{"kernel with pid", "Nov 23 13:35:38 vm kernel[99]: " + kernel},
		{"audit with a word for pid", "Nov 23 13:35:38 vm audit[x]: AUDIT1420 " + body},
		{"audit with half a pid", "Nov 23 13:35:38 vm audit[12: AUDIT1420 " + body},
		{"auditd", "Nov 23 13:35:38 vm auditd[12]: AUDIT1420 " + body},
		{"no time before the host", "vm kernel: " + kernel},
		{"kernel, without audit", "Nov 23 13:35:38 vm kernel: type=1420 " + text},
		{"other driver", "[   12.345678] usb 1-1: Product: " + kernel},
		{"command named like us", "[   12.345678] audit[123]: segfault at 0"},
		{"command named like kernel", "[   12.345678] h kernel: audit[123]: segfault at 0"},
		{"user facility, dmesg -r", "<13>[   12.345678] " + kernel},
		{"user facility, emergency", "<8>[   12.345678] " + kernel},
		{"user facility, emergency, kmsg", "8,165,324717,-;" + kernel},
		{"user facility, dmesg -x", "user  :notice: [   12.345678] " + kernel},
		{"user facility, kmsg", "13,165,324717,-;" + kernel},
		{"kmsg, no header", "5,;" + kernel},
		{"kmsg, dictionary", " SUBSYSTEM=" + kernel},
		{"open bracket", "[   12.345678 " + kernel},
		{"no time in brackets", "[a=b] " + kernel},
		{"host with a colon", "Nov 23 13:35:38 mallory: " + kernel},
		{"no host", "Nov 23 13:35:38  kernel: " + kernel},
		{"almost a caller", "[   12.345678] [ U123] " + kernel},
		{"not a caller", "[   12.345678] [drm] " + kernel},
		{"blob", "Nov 23 13:31:41 vm audit: [186B blob data]"},
		{"field", "PATH=/usr/bin:/bin"},
		{"word", "HELLO"},
		{"opened object", "{"},
		{"object of something else", `{"type":"1420","msg":"audit(1.000:2): x"}`},
		{"broken object", `{"_TRANSPORT":"audit",`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := []byte(tt.line + "\ntype=1420 " + text + "\n")
			got, passed := readAll(t, in)
			if d := cmp.Diff([]record{{Type: 1420, Text: text}}, got); d != "" || passed != 1 {
				t.Errorf("passed over %d, -want +got\n%s", passed, d)
			}
		})
	}
}

func TestWhatHasArrivedIsNotHeldBack(t *testing.T) {
	t.Parallel()
	// A pipe into which somebody writes slowly: one read more would block.
	for name, in := range map[string]string{
		"text":              "type=1420 " + text + "\n",
		"export":            auditFields + "MESSAGE=AUDIT1420 " + body + "\n\n",
		"capture":           string(datagram(7, 0, message(1420, text, 0))),
		"capture by auditd": string(datagram(7, 0, message(1420, text, -16))),
	} {
		r := NewReader(onceReader{bytes.NewBufferString(in)})
		var rec Record
		if err := r.Next(&rec); err != nil || string(rec.Text) != text {
			t.Errorf("%s: got %q, %v", name, rec.Text, err)
		}
	}
}

// onceReader panics when it is read although it is empty: a pipe would block.
type onceReader struct{ b *bytes.Buffer }

func (r onceReader) Read(p []byte) (int, error) {
	if r.b.Len() == 0 {
		panic("read too far ahead")
	}
	return r.b.Read(p)
}
