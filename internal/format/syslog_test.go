package format

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/leodido/go-syslog/v4/rfc3164"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func parse5424(t *testing.T, ev *ipe.Event, c *Context) (*rfc5424.SyslogMessage, string) {
	t.Helper()
	f, err := Syslog{Facility: 13, SDID: "ipe@32473", PID: 77}.RFC5424()
	if err != nil {
		t.Fatal(err)
	}
	out := f(nil, ev, c)
	m, err := rfc5424.NewParser().Parse(out)
	if err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	return m.(*rfc5424.SyslogMessage), string(out)
}

func TestRFC5424(t *testing.T) {
	t.Parallel()
	m, out := parse5424(t, hostile(), inSpool())
	if !strings.HasPrefix(out, "<110>1 2026-11-23T13:35:56.605Z node7 ipe-auditd 77 access [ipe@32473 spool=\"4f3a9c21d06b7e58\" ") {
		t.Errorf("header: %q", out)
	}
	if !strings.HasPrefix(*m.Message, "ALLOWED EXECUTE BPRM_CHECK ") {
		t.Errorf("message: %q", *m.Message)
	}
	want := map[string]string{
		"spool": "4f3a9c21d06b7e58", "seq": "12345", "time": "2026-11-23T13:35:56.605Z", "serial": "590", "type": "1420",
		"event": "access", "dialect": "mainline", "verdict": "allowed", "ipe_op": "EXECUTE", "ipe_hook": "BPRM_CHECK",
		"comm": "a\ufffdb\ufffdc", "comm_hex": "610A620063",
		"path":     "/tmp/\"x\\ ]\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffd\U0001f600 (deleted)",
		"path_hex": "2F746D702F22785C205D1B5B324AFFC285E280AEE280A8EFBFBDF09F9880202864656C6574656429",
		"dev":      "vda2", "rule": `op=EXECUTE dmverity_roothash="sha256":26C6 action=ALLOW`,
		"enforcing": "true", "pid": "2204", "ino": "1024", "rule_kind": "rule", "action": "ALLOW",
		"rule_properties":     "intended_pathname=/a\ufffdb x=\ufffd",
		"rule_properties_hex": "696E74656E6465645F706174686E616D653D2F61FE6220783D07",
		"extra":               "k=\"v 1\" k=2\ufffd k\ufffd= k_hex=00",
		"extra_hex":           "6B3D2276203122206B3D32FF206B0A3D206B5F6865783D3030",
		"host":                "node7", "boot_id": "0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7",
	}
	if diff := cmp.Diff(want, (*m.StructuredData)["ipe@32473"]); diff != "" {
		t.Errorf("structured data -want +got:\n%s", diff)
	}
}

func TestRFC5424IsReadForEveryEvent(t *testing.T) {
	t.Parallel()
	for name, ev := range all() {
		m, out := parse5424(t, ev, inSpool())
		if *m.Appname != "ipe-auditd" || *m.MsgID != ev.Kind.String() || *m.ProcID != "77" {
			t.Errorf("%s: got %s", name, out)
		}
		for _, r := range out {
			if unicode.IsControl(r) {
				t.Errorf("%s: %U in %q", name, r, out)
			}
		}
	}
}

func TestRFC5424WithoutTimeHostAndPID(t *testing.T) {
	t.Parallel()
	f, err := Syslog{SDID: "x"}.RFC5424()
	if err != nil {
		t.Fatal(err)
	}
	ev := stopped()
	for _, ms := range []int64{-1, year10000} {
		ev.Time = ms
		got := string(f(nil, ev, &Context{}))
		if want := `<5>1 - - ipe-auditd - stopped [x time=`; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want it to begin with %q", got, want)
		}
	}
}

func TestRFC5424HostnameIsPrintable(t *testing.T) {
	t.Parallel()
	m, out := parse5424(t, stopped(), &Context{Identity: Identity{Host: []byte("my \xffhost" + strings.Repeat("x", 300))}})
	if want := "my??host" + strings.Repeat("x", 247); *m.Hostname != want {
		t.Errorf("got %q, want %q in %s", *m.Hostname, want, out)
	}
}

func TestRFC3164(t *testing.T) {
	t.Parallel()
	f, err := Syslog{Facility: 13, PID: 77}.RFC3164()
	if err != nil {
		t.Fatal(err)
	}
	out := f(nil, switchedOff(), inSpool())
	want := regexp.MustCompile(`^<105>Nov 2[34] \d\d:\d\d:56 ipe-auditd\[77\]: \*\*\* IPE ENFORCEMENT SWITCHED OFF: now permissive \*\*\* auid=1000 ses=3$`)
	if !want.Match(out) {
		t.Errorf("got %q, want %s", out, want)
	}
	// The parser knows only the form with a host name.
	sent := strings.Replace(string(out), " ipe-auditd", " node7 ipe-auditd", 1)
	m, err := rfc3164.NewParser().Parse([]byte(sent))
	if err != nil {
		t.Fatalf("%v in %q", err, sent)
	}
	if got := m.(*rfc3164.SyslogMessage); *got.Appname != "ipe-auditd" || *got.ProcID != "77" || *got.Severity != 1 {
		t.Errorf("read as %+v", got)
	}
}

func TestSyslogRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []Syslog{
		{Facility: 24, SDID: "a"}, {Facility: -1, SDID: "a"},
		{}, {SDID: "a b"}, {SDID: "a=b"}, {SDID: "a]"}, {SDID: `a"`}, {SDID: "\x7f"}, {SDID: strings.Repeat("a", 33)},
	} {
		if _, err := s.RFC5424(); !errors.Is(err, ErrSyslog) {
			t.Errorf("RFC5424 of %+v: got %v, want ErrSyslog", s, err)
		}
	}
	if _, err := (Syslog{Facility: 24}).RFC3164(); !errors.Is(err, ErrSyslog) {
		t.Errorf("RFC3164: got %v, want ErrSyslog", err)
	}
}

// Wherever a receiver cuts a message, what is behind the cut has no priority of its
// own and no length of a frame, and in a long one no host that the record chose.
func TestNothingInAMessageBeginsAnother(t *testing.T) {
	t.Parallel()
	// tools/pmrfc3164.c of rsyslog: what may be a host, and the blank or end behind it.
	host := regexp.MustCompile(`^(<\d+>)?[][A-Za-z0-9._:-]*evil[][A-Za-z0-9._:-]*( |$)`)
	start := regexp.MustCompile(`^(<\d|\d+ <\d)`)
	forged := "<13>1 2026-11-30T12:00:00Z evil su - - - x\n12 <13>Nov 30 12:00:00 evil su[1]: x evil <0>evil [evil] evil"
	f5424, err := Syslog{Facility: 10, SDID: "ipe@32473"}.RFC5424()
	if err != nil {
		t.Fatal(err)
	}
	f3164, err := Syslog{Facility: 10}.RFC3164()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Func{"RFC 5424": f5424, "RFC 3164": f3164} {
		for _, n := range []int{1, 20} {
			text := []byte("/tmp/" + strings.Repeat(forged, n))
			events := map[string]*ipe.Event{
				"access": {Kind: ipe.KindAccess, Path: text, Comm: text, Dev: text, Op: text, Hook: text,
					Extra:        []ipe.KeyValue{{Key: text, Value: text}},
					ActivePolicy: ipe.Policy{Name: text, Version: text, Digest: text}},
				"policy":   {Kind: ipe.KindPolicyLoad, Policy: ipe.Policy{Name: text, Version: text, Digest: text}, LSM: text},
				"unparsed": {Kind: ipe.KindUnparsed, Type: 1420, Raw: text},
				"started":  {Kind: ipe.KindStarted, Version: text, Kernel: text, IPEStatus: text},
			}
			for kind, ev := range events {
				msg := f(nil, ev, &Context{Raw: true, Identity: Identity{Spool: 1, Seq: 1}})
				for i := 1; i < len(msg); i++ {
					rest := msg[i:min(i+100, len(msg))] // no word is so long
					if start.Match(rest) || len(msg) > everyReceiver && host.Match(rest) {
						t.Fatalf("%s, %s, %d times: at %d begins %q", name, kind, n, i, rest)
					}
				}
			}
		}
	}
}
