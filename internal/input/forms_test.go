package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// TestInputsThatOnceFailed has one input of each kind that was passed over, or
// read by half.
func TestInputsThatOnceFailed(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"audisp-syslog.txt": 8, "log.xz": 1, "bom.txt": 2, "utf16.txt": 1, "dmesg.json": 1, "dmesg-colour.txt": 1,
		"node-space.txt": 1, "nul-hole.gz": 2, "both-transports.json": 2, "two-hosts.txt": 4, "rsyslog-escapes.txt": 2, "zero-padded.gz": 2,
	}
	for name, n := range want {
		got, err := read(NewReader(bytes.NewReader(form1(t, name))))
		if len(got) != n || err != io.EOF {
			t.Errorf("%s: got %d records of %d, %v", name, len(got), n, err)
		}
		for _, rec := range got {
			if rec.Truncated || !strings.HasPrefix(rec.Text, "audit(") || strings.ContainsAny(rec.Text, "#\x1b") {
				t.Errorf("%s: got %q", name, rec.Text)
			}
		}
	}
}

const (
	loadBody = `policy_name="lab" policy_version=1.0.0 policy_digest=sha256:61468DCB auid=0 ses=1 lsm=ipe res=1`
	loadText = stamp + loadBody
)

func TestWrappings(t *testing.T) {
	t.Parallel()
	access, load := record{Type: 1420, Text: text}, record{Type: 1422, Text: loadText}
	bare := record{Type: 1420, Text: body}
	const a, p = "type=UNKNOWN[1420] msg=" + text, "type=UNKNOWN[1422] msg=" + loadText
	const k = "audit: type=1420 " + text
	for _, tt := range []struct {
		name, line string
		want       record
		host       string
	}{
		{"audisp-syslog", "Nov 23 13:35:41 vm audisp-syslog[700]: " + a + " ", record{Type: 1420, Text: text + " "}, "vm"},
		{"audispd", "Nov 23 13:35:41 vm audispd: " + a, access, "vm"},
		{"audisp-syslog, no host", "Nov 23 13:35:41 audisp-syslog[7]: " + a, access, ""},
		{"audisp-syslog, node", "Nov 23 13:35:41 vm audisp-syslog[700]: node=web1 " + a, access, "web1"},
		{"audisp-syslog, node with a blank", "Nov 23 13:35:41 vm audisp-syslog[700]: node=web 1 " + a, access, "web 1"},
		{"audisp-syslog, priority", "<14>Nov 23 13:35:41 vm audisp-syslog: " + a, access, "vm"},
		{"audisp-syslog, busybox", "Nov 23 13:35:41 vm user.info audisp-syslog: " + a, access, "vm"},
		{"audisp-syslog, ISO time", "2026-11-23T13:35:41.123456+01:00 vm audisp-syslog[1]: " + a, access, "vm"},
		{"audisp-syslog, ISO time with a blank", "2026-11-23 13:35:41 vm audisp-syslog[1]: " + a, access, "vm"},
		{"audisp-syslog, year", "Nov 23 2026 13:35:41 vm audisp-syslog[1]: " + a, access, "vm"},
		{"audisp-syslog, RFC 5424", "<14>1 2026-11-23T13:35:41Z vm audisp-syslog 700 - - " + a, access, "vm"},
		{"audisp-syslog, RFC 5424, mark", "<14>1 2026-11-23T13:35:41Z vm audispd 700 - - \ufeff" + a, access, "vm"},
		{"audisp-syslog, RFC 5424, data", `<14>1 2026-11-23T13:35:41Z vm audispd - - [a@1 b="c] d"][e@1 f="\"] "] ` + a, access, "vm"},
		{"audisp-syslog, RFC 5424, nothing known", "<14>1 - - audispd - - - " + a, access, ""},
		{"blank for 0x1d", p + ` AUID="root"`, load, ""},
		{"blank for 0x1d, several", p + ` AUID="root" UID="root" OAUID="unset" `, load, ""},
		{"#035", p + `#035AUID="root" UID="root"`, load, ""},
		{"#035 and #012", p + `#035AUID="root"#012`, load, ""},
		{"#035 and nothing", a + "#035", access, ""},
		{"#012", a + "#012", access, ""},
		{"#012#000", a + "#012#000", access, ""},
		{"\\x1d", a + `\x1d`, access, ""},
		{"\\035", p + `\035AUID="root"`, load, ""},
		{"^]", p + `^]AUID="root"`, load, ""},
		{"#035 in a path stays", strings.Replace(a, "/tmp/true", "/tmp/#035", 1), record{Type: 1420, Text: strings.Replace(text, "/tmp/true", "/tmp/#035", 1)}, ""},
		{"#033 in a policy name", strings.Replace(p, "lab", "l#033b", 1), record{Type: 1422, Text: strings.Replace(loadText, "lab", "l\x1bb", 1)}, ""},

		{"node", "node=web1 " + a, access, "web1"},
		{"node with blanks", "node=CentOS 7.7 (x) " + a, access, "CentOS 7.7 (x)"},
		{"node with type=", "node=a type=b " + a, access, "a type=b"},
		{"node, nothing", "node= " + a, access, ""},
		{"node, address", "node=fe80::1%eth0 " + a, access, "fe80::1%eth0"},

		{"dmesg in colours", "\x1b[32m[   12.345678] \x1b[0m\x1b[33maudit: \x1b[0mtype=1420 " + text, access, ""},
		{"dmesg -H in colours", "\x1b[32m[Nov23 13:35] \x1b[0m\x1b[33maudit: \x1b[0m\x1b[1mtype=1420 " + text + "\x1b[0m", access, ""},
		{"journalctl in colours", "Nov 23 13:31:41 vm audit[570]: \x1b[0;1;39mAUDIT1420 " + body + "\x1b[0m", bare, "vm"},
		{"journalctl with links", "Nov 23 13:31:41 vm \x1b]8;;file://x\x1b\\audit\x1b]8;;\a[570]: AUDIT1420 " + body, bare, "vm"},
		{"grep in colours", strings.Replace(a, "ipe_op", "\x1b[01;31m\x1b[Kipe_op\x1b[m\x1b[K", 1), access, ""},
		{"grep in colours at the front", "\x1b[01;31m\x1b[Ktype\x1b[m\x1b[K" + a[4:], access, ""},
		{"escape in a policy name stays", strings.Replace(p, "lab", "l\x1b[31mb", 1), record{Type: 1422, Text: strings.Replace(loadText, "lab", "l\x1b[31mb", 1)}, ""},

		{"syslog", "Nov 23 13:35:38 vm kernel: [   12.345678] " + k, access, "vm"},
		{"journalctl short", "Nov 23 13:31:41 vm audit[570]: AUDIT1420 " + body, bare, "vm"},
		{"dmesg", "[   12.345678] " + k, access, ""},
		{"kmsg", "5,165,324717,-;" + k, access, ""},
		{"dmesg --json", `{"pri":5,"time":12.345678,"msg":` + quote(k) + `}`, access, ""},
		{"dmesg --json -x", `{"fac":"kern","pri":"notice","time":12.345678,"msg":` + quote(k) + `}`, access, ""},
		{"auditd in the journal", `{"_TRANSPORT":"syslog","_UID":"0","SYSLOG_IDENTIFIER":"audisp-syslog","_HOSTNAME":"h","MESSAGE":` + quote("node=web1 "+a) + `}`, access, "web1"},
		{"journal", `{"_TRANSPORT":"kernel","_HOSTNAME":"h","MESSAGE":` + quote(k) + `}`, access, "h"},
		{"byte order mark", "\ufeff" + a, access, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(strings.NewReader(tt.line))
			var rec Record
			err := r.Next(&rec)
			got := record{Type: rec.Type, Text: string(rec.Text), Truncated: rec.Truncated}
			if err != nil || got != tt.want || string(rec.Host) != tt.host {
				t.Errorf("%v, host %q, want %q, -want +got\n%s", err, rec.Host, tt.host, cmp.Diff(tt.want, got))
			}
			if err := r.Next(&rec); err != io.EOF {
				t.Errorf("then got %v", err)
			}
		})
	}
}

// quote returns s as a JSON string.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\x1d", `\u001d`).Replace(s) + `"`
}

func TestLinesThatLostTheirEnd(t *testing.T) {
	t.Parallel()
	access, load := record{Type: 1420, Text: text}, record{Type: 1422, Text: loadText}
	const a, p = "type=UNKNOWN[1420] msg=" + text, "type=UNKNOWN[1422] msg=" + loadText
	for name, tt := range map[string]struct {
		in   string
		want []record
	}{
		"two accesses":         {a + a, []record{access, access}},
		"a mark between":       {a + "\ufeff" + a, []record{access, access}},
		"access and load":      {a + p + "\n" + p, []record{access, load, load}},
		"load and access":      {p + a, []record{load, access}},
		"with nodes":           {"node=a " + p + "node=b " + a, []record{load, access}},
		"syslog":               {"Nov 23 13:35:38 vm kernel: audit: type=1420 " + text + "Nov 23 13:35:38 vm kernel: audit: type=1420 " + text, []record{access, access}},
		"behind another type":  {"type=PROCTITLE msg=" + stamp + "proctitle=2F62" + a, []record{{Type: 1327, Text: stamp + "proctitle=2F62"}, access}},
		"quoted by user space": {"type=USER_CMD msg=" + stamp + "pid=1 msg='cmd=" + a + "'", nil},
		"in the journal, with an entry behind": {
			"__CURSOR=1\n_TRANSPORT=syslog\n_UID=0\nSYSLOG_IDENTIFIER=audispd\nMESSAGE=" + a + a + "\n" +
				auditFields + "MESSAGE=AUDIT1420 " + body + "\n\n",
			[]record{{Type: 1420, Text: text + a}, access},
		},
		"hole":                     {a + strings.Repeat("\x00", 3*bufferSize) + a, []record{access, access}},
		"hole before an LF":        {a + strings.Repeat("\x00", 3*bufferSize) + "\n" + a + "\n", []record{access, access}},
		"hole at the front":        {strings.Repeat("\x00", 3*bufferSize+1) + a, []record{access}},
		"hole larger than a line":  {a + strings.Repeat("\x00", 3*maxLine) + a, []record{access, access}},
		"holes between long lines": {strings.Repeat(strings.Repeat("x", maxLine-bufferSize)+strings.Repeat("\x00", bufferSize), 3) + a, []record{access}},
		"UTF-16 behind other text": {a + "\n\xff\xfe" + wide(a+"\n"), []record{access, access}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := readAll(t, []byte(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// wide returns s in UTF-16, little endian.
func wide(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// turned returns s with its bytes swapped in pairs.
func turned(s string) string {
	b := []byte(s)
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return string(b)
}

func TestUTF16(t *testing.T) {
	t.Parallel()
	const line = "type=1422 audit(1.000:2): policy_name=\"é\U0001f600\"\r\n"
	le, be := wide(line), turned(wide(line))
	for name, tt := range map[string]struct {
		in   string
		want int
	}{
		"little":               {"\xff\xfe" + le, 1},
		"big":                  {"\xfe\xff" + be, 1},
		"little, no mark":      {le, 1},
		"big, no mark":         {be, 1},
		"little and little":    {"\xff\xfe" + le + "\xff\xfe" + le, 2},
		"little and big":       {"\xff\xfe" + le + "\xfe\xff" + be, 2},
		"a hole of NULs":       {"\xff\xfe" + le + strings.Repeat("\x00", 2*bufferSize) + le, 2},
		"longer than a buffer": {"\xff\xfe" + strings.Repeat(le, 3000), 3000},
		"half a unit behind":   {"\xff\xfe" + le + "x", 1},
		"nothing":              {"\xff\xfe", 0},
	} {
		got, _ := readAll(t, []byte(tt.in))
		if len(got) != tt.want {
			t.Errorf("%s: got %d records, want %d", name, len(got), tt.want)
		}
		for _, rec := range got {
			if rec.Text != "audit(1.000:2): policy_name=\"é\U0001f600\"" {
				t.Fatalf("%s: got %q", name, rec.Text)
			}
		}
	}
}

func TestASCIIBehindUTF16IsTold(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"little": "\xff\xfe" + wide("type=1420 "+text+"\n"),
		"big":    "\xfe\xff" + turned(wide("type=1420 "+text+"\n")),
	} {
		for _, behind := range []string{"type=1420 " + text + "\n", "x\ntype=1420 " + text} {
			got, err := read(NewReader(strings.NewReader(in + behind)))
			var damage *DamageError
			if len(got) != 1 || !errors.As(err, &damage) || damage.What != string(errNarrow) {
				t.Errorf("%s: got %v, %v", name, got, err)
			}
		}
		// Rare, but letters.
		behind := strings.Repeat("\u6161\u6262", maxNarrow/2-1) + "\u4e00"
		if name == "big" {
			behind = turned(wide(behind))
		} else {
			behind = wide(behind)
		}
		if got, err := read(NewReader(strings.NewReader(in + behind))); len(got) != 1 || err != io.EOF {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestJSONOfSeveralLines(t *testing.T) {
	t.Parallel()
	const entry1 = "{\n\t\"_TRANSPORT\" : \"audit\",\n\t\"_AUDIT_TYPE\" : \"1420\",\n\t\"_AUDIT_ID\" : \"47\",\n" +
		"\t\"_SOURCE_REALTIME_TIMESTAMP\" : \"1795440701244000\",\n\t\"MESSAGE\" : \"AUDIT1420 x\",\n\t\"_A\" : [\n\t\t\"1\",\n\t\t\"2\"\n\t]\n}\n"
	const event = `{"spool":"00000000000000aa","seq":1,"event":"stopped","extra":{"a":"[{\"}"}}`
	pretty := strings.NewReplacer(`,"`, ",\n  \"", `{"s`, "{\n  \"s", `}}`, "}\n}").Replace(event)
	x := record{Type: 1420, Text: stamp + "x"}
	ours := record{Text: event}
	const line = "type=1420 " + stamp + "x\n"
	for _, tt := range []struct {
		name, in string
		want     []record
	}{
		{"json-pretty", entry1 + entry1, []record{x, x}},
		{"list", "[\n" + entry1 + ",\n" + entry1 + "]\n", []record{x, x}},
		{"list in one line", "[" + event + "," + event + "]\n", []record{ours, ours}},
		{"list of one", "[" + event + "]", []record{ours}},
		{"list, an event on each line", "[\n" + event + ",\n" + event + "\n]\n", []record{ours, ours}},
		{"list, begun with the first", "[" + event + ",\n" + event + "]\n", []record{ours, ours}},
		{"events of several lines", pretty + "\n" + pretty + "\n", []record{ours, ours}},
		{"list of those", "[\n" + pretty + ",\n" + pretty + "\n]\n", []record{ours, ours}},
		{"list in a list", "[[" + event + "],[" + event + "]]\n", []record{ours, ours}},
		{"no LF between", event + event + "\ufeff" + event, []record{ours, ours, ours}},
		{"text behind", pretty + "\n" + line, []record{ours, x}},
		{"text on the same line", "[\n" + event + "] " + line, []record{ours, x}},
		{"given up for a line of text", "{\n \"a\": 1,\n" + line + event + "\n", []record{x, ours}},
		{"given up for an event", "{\n \"a\": \n" + event + "\n" + event + "\n", []record{ours}},
		{"given up in a string", "{\n \"a\": \"b\n" + line, []record{x}},
		{"no list", "[   12.3] audit: type=1420 " + stamp + "x\n[\n" + line, []record{x, x}},
		{"hits", `{` + "\n" + `"hits": {"total": 2, "hits": [` + "\n" + event + ", " + event + "\n]}}\n" + line, []record{ours, ours, x}},
		{"too long", "[\n{\n\"a\":\"" + strings.Repeat("x", maxLine-20) + "\",\n\"b\":\"" + strings.Repeat("y", 100) + "\"},\n" + event + "]\n", []record{ours}},
		{"empty", "[]\n{}\n[\n]\n{\n}\n" + line, []record{x}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := readAll(t, []byte(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestEventsBehindTags(t *testing.T) {
	t.Parallel()
	const event = `{"spool":"00000000000000aa","seq":1,"event":"stopped"}`
	for _, line := range []string{
		"Nov 23 13:35:41 vm ipe-auditd[12]: " + event,
		"Nov 23 13:35:41 vm ipe-auditd: " + event,
		"2026-11-23T13:35:41.123456789Z stdout F " + event,
		`{"log":` + quote(event+"\n") + `,"stream":"stdout","time":"2026-11-23T13:35:41Z"}`,
	} {
		got, err := read(NewReader(strings.NewReader(line)))
		if err != io.EOF || len(got) != 1 || got[0].Text != event {
			t.Errorf("%s: got %v, %v", line, got, err)
		}
	}
	// A loss that one reader is told has no identity.
	const loss = `{"time":"2026-11-23T13:35:41.123Z","event":"lost","count":2}`
	if got, err := read(NewReader(strings.NewReader("2026-11-23T13:35:41.123456789Z stdout F " + loss))); err != io.EOF || len(got) != 1 || got[0].Text != loss {
		t.Errorf("a loss: got %v, %v", got, err)
	}
	for _, line := range []string{
		"Nov 23 13:35:41 vm mallory[12]: " + event,
		"x stdout F " + event,
		"Nov 23 13:35:41 vm ipe-auditd[12]: see " + event,
	} {
		if got, _ := read(NewReader(strings.NewReader(line))); len(got) != 0 {
			t.Errorf("%s: got %v", line, got)
		}
	}
}

func TestBootIsAsTheKernelWritesIt(t *testing.T) {
	t.Parallel()
	const fields = "_AUDIT_TYPE=1420\n_AUDIT_ID=47\n_SOURCE_REALTIME_TIMESTAMP=1795440701244000\nMESSAGE=AUDIT1420 x\n_TRANSPORT=audit\n"
	in := "_HOSTNAME=a\n_BOOT_ID=0123456789abcdef0123456789abcdef\n" + fields + "\n" + fields + "\n_BOOT_ID=aa\n" + fields + "\n"
	r := NewReader(strings.NewReader(in))
	for i, want := range []string{"a 01234567-89ab-cdef-0123-456789abcdef", " ", " aa"} {
		var rec Record
		if err := r.Next(&rec); err != nil || fmt.Sprintf("%s %s", rec.Host, rec.BootID) != want {
			t.Errorf("%d: got %s %s, %v, want %s", i, rec.Host, rec.BootID, err, want)
		}
	}
}

// TestKernelLogCutsLongRecords has messages of the length at which the kernel log
// cuts (kernel/printk/printk.c).
func TestKernelLogCutsLongRecords(t *testing.T) {
	t.Parallel()
	long := strings.Replace(text, "/tmp/true", "/"+strings.Repeat("x", 2000), 1)
	for _, n := range []int{maxPrintk - 2, maxPrintk - 1, maxPrintk} {
		message := ("audit: type=1420 " + long)[:n]
		want := n >= maxPrintk-1
		for name, in := range map[string]string{
			"dmesg":   "[   12.345678] " + message,
			"journal": "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=" + message + "\n\n",
			"json":    `{"_TRANSPORT":"kernel","MESSAGE":` + quote(message) + `}`,
			"dmesg-j": `{"pri":5,"time":1,"msg":` + quote(message) + `}`,
		} {
			got, _ := readAll(t, []byte(in))
			if len(got) != 1 || got[0].Truncated != want {
				t.Errorf("%s of %d bytes: got %v", name, n, got)
			}
		}
	}
	whole := "audit: type=1420 " + strings.Replace(text, "/tmp/true", "/"+strings.Repeat("x", 2000-len(text)), 1)
	whole = strings.Replace(whole, "xxx", "", 1)
	exact := strings.Replace(whole, "/x", "/x"+strings.Repeat("x", max(0, maxPrintk-len(whole))), 1)
	if len(exact) > maxPrintk {
		exact = strings.Replace(exact, strings.Repeat("x", len(exact)-maxPrintk), "", 1)
	}
	if got, _ := readAll(t, []byte(exact)); len(exact) != maxPrintk || len(got) != 1 || got[0].Truncated {
		t.Errorf("a whole record of %d bytes: got %v", len(exact), got)
	}
}

func TestDamagedFirstHeaderOfACaptureIsTold(t *testing.T) {
	t.Parallel()
	in := append(datagram(7_000_000_000_000, 0, message(1420, text, 0)), datagram(7_000_000_000_001, 0, message(1420, text, 0))...)
	for i := range captureHeader {
		for _, c := range []byte{0, 1, 0x41, 0x80, 0xff} {
			broken := bytes.Clone(in)
			if broken[i] == c {
				continue
			}
			broken[i] = c
			got, err := read(NewReader(bytes.NewReader(broken)))
			if err == io.EOF && len(got) != 2 {
				t.Errorf("byte %d is %#x: got %d records and no error", i, c, len(got))
			}
		}
	}
	for name, in := range map[string][]byte{
		"all ones":  append(bytes.Repeat([]byte{0xff}, 16), in[16:]...),
		"all zeros": append(make([]byte, 16), in[16:]...),
		"letters":   append([]byte("ABCDEFGHIJKLMNOP"), in[16:]...),
		"missing":   in[16:],
		"by half":   in[8:],
	} {
		if _, err := read(NewReader(bytes.NewReader(in))); err == io.EOF {
			t.Errorf("%s: nothing was told", name)
		}
	}
}

func TestFormsAsTheyArriveSlowly(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("testdata/forms")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		in := form1(t, e.Name())
		want, wantErr := read(NewReader(bytes.NewReader(in)))
		got, gotErr := read(NewReader(oneByte{bytes.NewReader(in)}))
		if d := cmp.Diff(want, got); d != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
			t.Errorf("%s: %v, %v\n%s", e.Name(), wantErr, gotErr, d)
		}
	}
}

// oneByte reads one byte at a time.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }
