package input

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The journal of testdata, as journalctl 252 prints it in each form. It has
// records of the audit transport, with a policy name that is no printable text
// and a path of 2600 bytes, one of the kernel log, and forgeries: a message of
// several lines by a client, and one that was written to /dev/kmsg.
//
// To make another: write the entries in the export format, store them with
// systemd-journal-remote -o x.journal, and print each form with
// journalctl --utc --file x.journal -o FORM (json-all is -o json --all).
func journal(stamped bool) []record {
	const digest = ` policy_version=1.0.0 policy_digest=sha256:61468DCBE9A1AD3F3B4ECDDD248220988E6B510010650FE3A711F3D1A17E8D8B auid=4294967295 ses=4294967295 lsm=ipe res=1`
	stamp := func(ms, serial int) string {
		if !stamped {
			return ""
		}
		return "audit(1795440701." + strconv.Itoa(ms) + ":" + strconv.Itoa(serial) + "): "
	}
	return []record{
		{Type: 1420, Text: stamp(244, 47) + body},
		{Type: 1422, Text: stamp(250, 48) + "policy_name=\"we\"ird\x01\x1b\u00e9\"" + digest},
		{Type: 1422, Text: stamp(252, 49) + "policy_name=\"b\xff\"" + digest},
		{Type: 1420, Text: stamp(260, 50) + `ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=571 comm="labtool" path=` +
			strings.Repeat("2F41", 1300) + ` dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`},
		{Type: 1404, Text: "audit(1795440701.270:52): enforcing=0 old_enforcing=1 auid=4294967295 ses=4294967295 enabled=1 old-enabled=1 lsm=ipe res=1"},
	}
}

func TestJournalInEveryForm(t *testing.T) {
	t.Parallel()
	want := journal(true)

	// Without --all a field of more than 4096 bytes is null.
	short := journal(true)
	short[3].Text, short[3].Truncated = "audit(1795440701.260:50): ", true

	// The short forms say "[186B blob data]" of what is not printable.
	plain := journal(false)
	plain = append(plain[:1:1], plain[3:]...)

	for _, tt := range []struct {
		form   string
		want   []record
		passed uint64
	}{
		{"export", want, 2},
		{"json-all", want, 2},
		{"json", short, 2},
		{"json-seq", short, 2},
		{"json-sse", short, 2},
		{"short", plain, 7},
		{"short-precise", plain, 7},
		{"short-iso", plain, 7},
		{"short-iso-precise", plain, 7},
		{"short-full", plain, 7},
		{"short-monotonic", plain, 7},
		{"short-unix", plain, 7},
	} {
		t.Run(tt.form, func(t *testing.T) {
			t.Parallel()
			got, passed := readAll(t, load(t, "journal-"+tt.form))
			if d := cmp.Diff(tt.want, got); d != "" || passed != tt.passed {
				t.Errorf("passed over %d, want %d, -want +got\n%s", passed, tt.passed, d)
			}
		})
	}
}

// auditFields is an entry of the audit transport without its message.
const auditFields = "__CURSOR=1\n_TRANSPORT=audit\n_AUDIT_TYPE=1420\n_AUDIT_ID=47\n_SOURCE_REALTIME_TIMESTAMP=1795440701244000\n"

func TestExportEntries(t *testing.T) {
	t.Parallel()
	whole := record{Type: 1420, Text: text}
	binaryField := func(name, value string) string {
		return name + "\n" + string(binary.LittleEndian.AppendUint64(nil, uint64(len(value)))) + value + "\n"
	}
	for _, tt := range []struct {
		name   string
		in     string
		want   []record
		passed uint64
	}{
		{"whole", auditFields + "MESSAGE=AUDIT1420 " + body + "\n\n", []record{whole}, 0},
		{"without the empty line at the end", auditFields + "MESSAGE=AUDIT1420 " + body + "\n", []record{whole}, 0},
		{"binary", auditFields + binaryField("MESSAGE", "AUDIT1420 "+body) + "\n", []record{whole}, 0},
		{"binary of others", auditFields + binaryField("COREDUMP", "\n\ntype=1420 x\n\n") + "MESSAGE=AUDIT1420 " + body + "\n\n", []record{whole}, 0},
		{"binary, too large", auditFields + binaryField("MESSAGE", "AUDIT1420 "+strings.Repeat("x", maxLine)) + "\n",
			[]record{{Type: 1420, Text: stamp, Truncated: true}}, 0},
		{"named", "_TRANSPORT=audit\nMESSAGE=IPE_ACCESS " + body + "\n\n", []record{{Type: 1420, Text: body}}, 0},
		{"no transport", strings.Replace(auditFields, "_TRANSPORT=audit\n", "", 1) + "MESSAGE=AUDIT1420 " + body + "\n\n", []record{whole}, 0},
		{"no stamp", "_TRANSPORT=audit\n_AUDIT_TYPE=1420\nMESSAGE=AUDIT1420 " + body + "\n\n", []record{{Type: 1420, Text: body}}, 0},
		{"time is no number", "_TRANSPORT=audit\n_AUDIT_TYPE=1420\n_AUDIT_ID=47\n_SOURCE_REALTIME_TIMESTAMP=soon\nMESSAGE=AUDIT1420 " + body + "\n\n",
			[]record{{Type: 1420, Text: body}}, 0},
		{"serial is no number", "_TRANSPORT=audit\n_AUDIT_TYPE=1420\n_AUDIT_ID=4): \n_SOURCE_REALTIME_TIMESTAMP=1\nMESSAGE=AUDIT1420 " + body + "\n\n",
			[]record{{Type: 1420, Text: body}}, 0},
		{"milliseconds with zeros", "_AUDIT_TYPE=1420\n_AUDIT_ID=47\n_SOURCE_REALTIME_TIMESTAMP=1795440701007999\nMESSAGE=AUDIT1420 x\n\n",
			[]record{{Type: 1420, Text: "audit(1795440701.007:47): x"}}, 0},
		{"no body", auditFields + "MESSAGE=AUDIT1420\n\n", []record{{Type: 1420, Text: stamp}}, 0},
		{"kernel", "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=audit: type=1420 " + text + "\n\n", []record{whole}, 0},
		{"first value counts", auditFields + "_AUDIT_TYPE=1404\nMESSAGE=AUDIT1420 " + body + "\n\n", []record{whole}, 0},
		{"two", strings.Repeat(auditFields+"MESSAGE=AUDIT1420 "+body+"\n\n", 2), []record{whole, whole}, 0},
		{"cut, and another file behind", auditFields + auditFields + "MESSAGE=AUDIT1420 " + body + "\n\n", []record{whole}, 1},
		{"text behind", auditFields + "MESSAGE=AUDIT1420 " + body + "\ntype=1420 " + text + "\n", []record{whole, whole}, 0},
		{"CR LF", strings.ReplaceAll(auditFields+"MESSAGE=AUDIT1420 "+body+"\n\n", "\n", "\r\n"), []record{whole}, 0},

		{"no message", auditFields + "\n", nil, 1},
		{"no type", "_TRANSPORT=audit\nMESSAGE=SERVICE_START pid=1\n\n", nil, 1},
		{"type too large", "_TRANSPORT=audit\n_AUDIT_TYPE=66956\nMESSAGE=AUDIT1420 x\n\n", nil, 1},
		{"client", "_TRANSPORT=journal\n_AUDIT_TYPE=1420\nMESSAGE=AUDIT1420 " + body + "\n\n", nil, 1},
		{"syslog", "_TRANSPORT=syslog\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=audit: type=1420 " + text + "\n\n", nil, 1},
		{"client's own type", "AUDIT_TYPE=1420\nMESSAGE=AUDIT1420 " + body + "\n\n", nil, 1},
		{"kmsg by a process", "_TRANSPORT=kernel\nSYSLOG_FACILITY=1\nMESSAGE=audit: type=1420 " + text + "\n\n", nil, 1},
		{"other kernel message", "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=usb: type=1420 " + text + "\n\n", nil, 1},
		{"message like a field", "_TRANSPORT=syslog\nMESSAGE=_TRANSPORT=audit\n_AUDIT_TYPE=1420\n\n", nil, 1},
		{"variables, not an entry", "A=1\nB=2\n", nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, passed := readAll(t, []byte(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" || passed != tt.passed {
				t.Errorf("passed over %d, want %d, -want +got\n%s", passed, tt.passed, d)
			}
		})
	}
}

func TestCutJournalIsDamaged(t *testing.T) {
	t.Parallel()
	const good = "type=1420 " + text + "\n"
	for _, tt := range []struct{ name, in string }{
		{"in a value", auditFields + "MESSAGE=AUDIT1420 ipe_op=EX"},
		{"before the message", auditFields},
		{"kernel, before the facility", "__CURSOR=1\n_TRANSPORT=kernel\nMESSAGE=audit: type=1420 " + text + "\n"},
		{"before the stamp", "__CURSOR=1\n_TRANSPORT=audit\n_AUDIT_TYPE=1420\nMESSAGE=AUDIT1420 " + body + "\n"},
		{"before the transport", "__CURSOR=1\nMESSAGE=audit: type=1420 " + text + "\n"},
		{"in a length", auditFields + "MESSAGE\n\x05\x00\x00"},
		{"in binary", auditFields + "MESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00AUD"},
		{"in binary of others", auditFields + "COREDUMP\n\x05\x00\x00\x01\x00\x00\x00\x00AUD"},
		{"behind binary", auditFields + "COREDUMP\n\x03\x00\x00\x00\x00\x00\x00\x00AUD"},
		{"wrong length", auditFields + "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x00AUDIT1420 x\n\n"},
		{"impossible length", auditFields + "MESSAGE\n\x03\x00\x00\x00\x00\x00\x00\x01AUDIT1420 x\n\n"},
		{"object", `{"_TRANSPORT":"audit","_AUDIT_TYPE":"1420","MESS`},
		{"object of others", `{"_TRANSPORT":"sys`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := read(NewReader(strings.NewReader(good + tt.in)))
			var damage *DamageError
			if !errors.As(err, &damage) || len(got) != 1 || damage.Offset < int64(len(good)) {
				t.Errorf("got %d records and %v", len(got), err)
			}
		})
	}
}

func TestDamageIsLocated(t *testing.T) {
	t.Parallel()
	in := auditFields + "COREDUMP\n\x03\x00\x00\x00\x00\x00\x00\x00a\nb\nMESSAGE=AUD"
	_, err := read(NewReader(strings.NewReader(in)))
	if got, want := fmt.Sprint(err), fmt.Sprintf("offset %d: the journal entry is cut off", len(in)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJSONEntries(t *testing.T) {
	t.Parallel()
	const fields = `"_TRANSPORT":"audit","_AUDIT_TYPE":"1420","_AUDIT_ID":"47","_SOURCE_REALTIME_TIMESTAMP":"1795440701244000"`
	x := record{Type: 1420, Text: stamp + "x"}
	for _, tt := range []struct {
		name, in string
		want     []record
	}{
		{"strings", `{` + fields + `,"MESSAGE":"AUDIT1420 x"}`, []record{x}},
		{"blanks", "{ \"MESSAGE\" : \"AUDIT1420 x\" ,\t" + fields + " }", []record{x}},
		{"numbers", `{"_TRANSPORT":"audit","_AUDIT_TYPE":1420,"_AUDIT_ID":47,"_SOURCE_REALTIME_TIMESTAMP":1795440701244000,"MESSAGE":"AUDIT1420 x"}`, []record{x}},
		{"bytes", `{` + fields + `,"MESSAGE":[65,85,68,73,84,49,52,50,48,32,255]}`, []record{{Type: 1420, Text: stamp + "\xff"}}},
		{"several", `{` + fields + `,"MESSAGE":["AUDIT1420 x","AUDIT1420 y"]}`, []record{x}},
		{"several of bytes", `{` + fields + `,"MESSAGE":[[65,32,120],"AUDIT1420 y"]}`, []record{x}},
		{"several, omitted", `{` + fields + `,"MESSAGE":[null,"AUDIT1420 y"]}`, []record{{Type: 1420, Text: stamp, Truncated: true}}},
		{"omitted", `{` + fields + `,"MESSAGE":null}`, []record{{Type: 1420, Text: stamp, Truncated: true}}},
		{"escapes", `{` + fields + `,"MESSAGE":"AUDIT1420 \u0078"}`, []record{x}},
		{"no transport", `{"_AUDIT_TYPE":"1420","MESSAGE":"AUDIT1420 x"}`, []record{{Type: 1420, Text: "x"}}},
		{"kernel in bytes", `{"_TRANSPORT":"kernel","MESSAGE":[97,117,100,105,116,58,32,116,121,112,101,61,49,52,50,48,32,120]}`, []record{{Type: 1420, Text: "x"}}},

		{"not a byte", `{` + fields + `,"MESSAGE":[65,32,256]}`, nil},
		{"not bytes", `{` + fields + `,"MESSAGE":[65,"x"]}`, nil},
		{"no values", `{` + fields + `,"MESSAGE":[]}`, []record{{Type: 1420, Text: stamp}}},
		{"object", `{` + fields + `,"MESSAGE":{"a":1}}`, nil},
		{"true", `{` + fields + `,"MESSAGE":true}`, nil},
		{"other transport", `{"_TRANSPORT":"stdout","_AUDIT_TYPE":"1420","MESSAGE":"AUDIT1420 x"}`, nil},
		{"names in another case", `{"_transport":"audit","_audit_type":"1420","message":"AUDIT1420 x"}`, nil},
		{"kernel omitted", `{"_TRANSPORT":"kernel","MESSAGE":null}`, nil},
		{"two objects", `{"MESSAGE":"audit"}{}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, frame := range []string{"%\n", "data: %\n\n", "\x1e%\n", "%"} {
				got, err := read(NewReader(strings.NewReader(strings.Replace(frame, "%", tt.in, 1))))
				var damage *DamageError
				if frame == "%" && errors.As(err, &damage) && tt.name == "two objects" {
					continue
				}
				if d := cmp.Diff(tt.want, got); d != "" || !ended(err) {
					t.Errorf("%q: %v, -want +got\n%s", frame, err, d)
				}
			}
		})
	}
}

func TestAnEntryDoesNotLeakIntoTheNext(t *testing.T) {
	t.Parallel()
	in := auditFields + "MESSAGE=AUDIT1420 x\n\n__CURSOR=2\nMESSAGE=AUDIT1420 y\n\n" +
		`{"_TRANSPORT":"audit","_AUDIT_TYPE":"1420","MESSAGE":"AUDIT1420 x"}` + "\n" +
		`{"SYSLOG_IDENTIFIER":"audit","MESSAGE":"AUDIT1420 y"}` + "\n"
	got, passed := readAll(t, []byte(in))
	want := []record{{Type: 1420, Text: stamp + "x"}, {Type: 1420, Text: "x"}}
	if d := cmp.Diff(want, got); d != "" || passed != 2 {
		t.Errorf("passed over %d, -want +got\n%s", passed, d)
	}
}

func TestMemoryIsBoundedWhateverTheFieldsSay(t *testing.T) {
	t.Parallel()
	in := strings.Repeat("_TRANSPORT="+strings.Repeat("x", maxLine-20)+"\n\n", 3) +
		strings.Repeat("A=1\n", 100_000)
	r := NewReader(io.MultiReader(strings.NewReader(in), bytes.NewReader(nil)))
	if _, err := read(r); !ended(err) {
		t.Fatal(err)
	}
	held := cap(r.long) + cap(r.built)
	for _, f := range r.entry.fields {
		held += cap(f.value)
	}
	if held > 8*maxLine {
		t.Errorf("holds %d bytes", held)
	}
}
