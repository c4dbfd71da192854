package input

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// unreadLines returns how many lines of in were not read, and the reason if there
// was another one than lines.
func unreadLines(in string) (lines uint64, reason string) {
	r := NewReader(strings.NewReader(in))
	var decoder ipe.Decoder
	var ev ipe.Event
	var rec Record
	for {
		err := r.Next(&rec)
		var unread *UnreadError
		switch {
		case err == nil:
			if rec.Event || decoder.Decode(&ev, rec.Type, rec.Text) != ipe.ClassIPE {
				r.Reject(&rec) // events of ours are not parsed here
			}
			continue
		case errors.As(err, &unread):
			for _, p := range unread.Parts {
				if lines += p.Lines; p.Lines == 0 {
					reason = p.Reason
				}
			}
		case err != io.EOF:
			reason = err.Error()
		}
		return lines, reason
	}
}

// TestWhatCountsAsUnread goes through the definition in the package comment. Each
// line stands behind an ordinary record of another type, so that the input has one.
func TestWhatCountsAsUnread(t *testing.T) {
	t.Parallel()
	const st = "audit(1795440701.244:47)"
	const other = "type=SYSCALL msg=audit(1.000:2): arch=c000003e\n"
	journal := func(fields, message string) string { return `{` + fields + `,"MESSAGE":` + quote(message) + `}` }
	for _, tt := range []struct {
		name, line string
		want       uint64
	}{
		// Unread: a stamp or the tag, and behind it words of IPE.
		{"unknown tag", "Nov 23 13:35:38 vm mallory: audit: type=1420 " + text, 1},
		{"unknown tag with pid", "Nov 23 13:35:38 vm mallory[9]: audit: type=1420 " + text, 1},
		{"unknown tag, AUDIT1420", "Nov 23 13:35:38 vm tag: AUDIT1420 " + body, 1},
		{"rsyslog's imfile", "Nov 23 13:35:38 vm tag_audit_log: type=UNKNOWN[1420] msg=" + text, 1},
		{"no type", "x " + text, 1},
		{"no type, at the front", text, 1},
		{"stamp without a colon behind", st + " ipe_op=EXECUTE", 1},
		{"RFC form behind a stamp", "x " + st + ": " + v7, 1},
		{"RFC form behind the tag", "x AUDIT1420 " + v7, 1},
		{"lsm=ipe at the end", "x " + st + ": enforcing=0 lsm=ipe", 1},
		{"lsm=ipe before a blank", "x " + st + ": enforcing=0 lsm=ipe res=1", 1},
		{"lsm=ipe before CR", "x " + st + ": enforcing=0 lsm=ipe\r", 1},
		{"lsm=ipe before 0x1d", "x " + st + ": res=1 lsm=ipe\x1dAUID=\"root\"", 1},
		{"lsm=ipe behind the tag of 1404", "x AUDIT1404 enforcing=0 lsm=ipe", 1},
		{"AUDIT1499", "x AUDIT1499 lsm=ipe", 1},
		{"indented far", strings.Repeat(" ", 20) + "audit: type=1420 " + text, 1},
		{"facility of a process", "user  :notice: [   12.345678] audit: type=1420 " + text, 1},
		{"kmsg of a process", "13,165,324717,-;audit: type=1420 " + text, 1},
		{"quoted in prose", "he wrote: type=1420 " + text, 1},
		{"CSV", `2026-11-23,vm,"type=1420 ` + text + `"`, 1},
		{"logfmt", `level=info msg="audit: type=1420 ` + text + `"`, 1},
		{"CEF", "CEF:0|x|y|1|2|3|4|msg=type=1420 " + text, 1},
		{"two stamps, words behind the second", "x " + st + ": y " + st + ": ipe_op=EXECUTE", 1},
		{"type 1420, of nobody", "type=1420 " + st + ": comm=\"ipe_op=x\" a=1", 1},
		{"half a name of a type", "type=UNKNOWN[1420 msg=" + text, 1},
		{"type too large", "type=66956 " + text, 1},
		{"node without end", "node=a b c " + text, 1},
		{"pieces between NULs", "x\x00y " + text + "\x00z", 1},
		{"two of them between NULs", "y " + text + "\x00z " + text, 2},
		{"too long", "type=1420 " + strings.Replace(text, "/tmp/true", strings.Repeat("x", maxLine), 1), 1},
		{"too long, of something else", strings.Repeat("x", maxLine), 1},
		{"twice", "x " + text + "\nx " + text, 2},
		{"another type and no stamp of its own", "type=1 AUDIT1420 " + body, 1},
		{"JSON of others", `{"message":` + quote("type=1420 "+text) + `}`, 1},
		{"JSON of others, no type", `{"message":` + quote(text) + `}`, 1},
		{"JSON of others, several keys", `{"@timestamp":"2026","host":{"name":"a"},"message":` + quote("x "+st+": res=1 lsm=ipe") + `}`, 1},
		{"JSON of others, escapes", `{"message":"type=1420 audit\u00281795440701.244:47\u0029: ipe_op\u003dEXECUTE"}`, 1},
		{"JSON of others, upper-case escapes", `{"message":"type=1420 audit(1795440701.244:47): ipe_op\u003DEXECUTE"}`, 1},
		{"JSON of others, nested", `{"log":` + quote(`{"msg":`+quote("type=1420 "+text)+`}`) + `}`, 1},
		{"JSON of others, event key", `{"event":{"module":"auditd"},"message":` + quote("type=1420 "+text) + `}`, 1},
		{"JSON of others, event of others", `{"event":"login","message":` + quote("type=1420 "+text) + `}`, 1},
		{"JSON of others, a list", `[{"message":` + quote("type=1420 "+text) + `},{"message":` + quote("x "+text) + `}]`, 2},
		{"JSON of others, several lines", "{\n  \"message\": " + quote("type=1420 "+text) + "\n}", 1},
		{"JSON of others, container", `{"log":` + quote("type=1420 "+text+"\n") + `,"stream":"stdout"}`, 1},
		{"JSON of others, another record first", `{"lines":[` + quote("type=SYSCALL msg="+st+": a=1") + `,` + quote("type=1420 "+text) + `]}`, 1},
		{"JSON of others, a message first", `{"lines":[` + quote("type=USER_CMD msg="+st+": pid=1 msg='x'") + `,` + quote("vm kernel: audit: type=1420 "+text) + `]}`, 1},
		{"JSON of others, several lines in a string", `{"message":` + quote("type=SYSCALL msg="+st+": a=1\ntype=1420 "+text+"\n") + `}`, 1},
		{"JSON of others, escaped LF", `{"message":"type=USER_CMD msg=` + st + `: msg='x'\u000atype=1404 ` + st + `: lsm=ipe res=1"}`, 1},
		{"JSON of others, records in one line", `{"message":` + quote("type=SYSCALL msg="+st+": a=1 type=1420 "+text) + `}`, 1},
		{"several records in one line", "x type=SYSCALL msg=" + st + ": a=1 type=1420 " + text, 1},
		{"event of ours in JSON of others", `{"message":` + quote(`{"spool":"5f1c9a0277d8e3b4","seq":9,"event":"lost"}`) + `}`, 1},
		{"event of ours under another tag", `Nov 23 13:35:38 vm tag: {"spool":"5f1c9a0277d8e3b4","seq":9,"event":"lost"}`, 1},
		{"event of ours, in two lines of a container", `2026-11-23T13:35:35.1Z stdout P {"spool":"5f1c9a0277d8e3b4","seq":9,"ev`, 1},
		{"event of ours, twice wrapped", `{"log":` + quote(`{"message":`+quote(`{"spool":"5f1c9a0277d8e3b4","seq":9,"event":"lost"}`)+`}`) + `}`, 1},
		{"JSON that is broken", `{"message":` + quote("type=1420 "+text), 1},
		{"journal, a client", journal(`"_TRANSPORT":"journal"`, "AUDIT1420 "+body), 1},
		{"journal, syslog", journal(`"_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"kernel"`, "audit: type=1420 "+text), 1},
		{"journal, auditd's name but not root", journal(`"_TRANSPORT":"syslog","_UID":"1000","SYSLOG_IDENTIFIER":"audispd"`, "type=1420 "+text), 1},
		{"journal, kmsg by a process", journal(`"_TRANSPORT":"kernel","SYSLOG_FACILITY":"1"`, "audit: type=1420 "+text), 1},
		{"export, a client", "_TRANSPORT=journal\nMESSAGE=AUDIT1420 " + body + "\n", 1},
		{"export, another field", "_TRANSPORT=journal\nNOTE=x " + text + "\nMESSAGE=y\n", 1},
		{"verbose", "    MESSAGE=AUDIT1420 " + body, 1},
		{"dmesg --json of a process", `{"pri":13,"time":1,"msg":` + quote("audit: type=1420 "+text) + `}`, 1},

		// Read.
		{"record", "type=1420 " + text, 0},
		{"record that cannot be parsed", "type=1420 " + st + ": ipe_op=EXE", 0},
		{"record without stamp", "AUDIT1420 " + body, 0},
		{"mode switch", "type=1404 " + st + ": enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1", 0},
		{"interpreted by ausearch -i", "type=UNKNOWN[1420] msg=audit(11/23/26 13:31:41.244:47) : " + body, 0},

		// Not unread: records of other types.
		{"message that quotes", "type=USER_AVC msg=" + st + ": pid=1 msg='ipe_op=EXECUTE'", 0},
		{"message that quotes a record", "type=USER_CMD msg=" + st + ": pid=1 msg='type=1420 " + text + "'", 0},
		{"message by number", "type=1107 msg=" + st + ": pid=1 msg='ipe_op=x lsm=ipe '", 0},
		{"message with node", "node=vm type=USER_AVC msg=" + st + ": pid=1 msg='ipe_op=x'", 0},
		{"message in syslog", "Nov 23 13:35:38 vm kernel: audit: type=1107 " + st + ": pid=1 msg='ipe_op=x'", 0},
		{"message by auditd's syslog", "Nov 23 13:35:38 vm audisp-syslog[7]: type=USER_AVC msg=" + st + ": pid=1 msg='ipe_op=x'", 0},
		{"message under another tag", "Nov 23 13:35:38 vm tag: type=USER_AVC msg=" + st + ": pid=1 msg='ipe_op=x'", 0},
		{"message in JSON of others", `{"message":` + quote("type=USER_AVC msg="+st+": pid=1 msg='ipe_op=x'") + `}`, 0},
		{"message that quotes lines, in JSON of others", `{"message":` + quote("type=USER_CMD msg="+st+`: pid=1 msg='cmd="type=1420 `+text+`\ntype=1420 `+text+"'") + `}`, 0},
		{"messages in JSON of others", `{"lines":[` + quote("type=USER_AVC msg="+st+": pid=1 msg='ipe_op=x'") + `,` + quote("type=USER_AVC msg="+st+": pid=1 msg='ipe_op=x'") + `]}`, 0},
		{"message in the journal", journal(`"_TRANSPORT":"audit","_AUDIT_TYPE":"1107"`, "USER_AVC pid=1 msg='AUDIT1420 ipe_op=x'"), 0},
		{"message in the journal, by name", journal(`"_TRANSPORT":"audit"`, "USER_AVC pid=1 msg='AUDIT1420 ipe_op=x'"), 0},
		{"SELinux", "type=1404 " + st + ": enforcing=0 old_enforcing=1 lsm=selinux res=1", 0},
		{"empty twin", "type=1404 " + st + ": ", 0},
		{"Landlock", "type=1423 " + st + `: domain=1c blockers=fs.execute path="/ipe_op=x"`, 0},
		{"LSM contexts", "type=1420 " + st + ": subj_apparmor=unconfined", 0},
		{"execve", "type=EXECVE msg=" + st + ": argc=2 a0=\"grep\" a1=\"ipe_op=\"", 0},

		// Not unread: no stamp, or no words of IPE behind it.
		{"no stamp", "ipe_op=EXECUTE ipe_hook=MMAP lsm=ipe", 0},
		{"prose", "see ipe_op= in the manual of type=1420", 0},
		{"words before the stamp", "ipe_op=EXECUTE lsm=ipe " + st + ": x", 0},
		{"stamp without milliseconds", "x audit(1795440701:47): ipe_op=EXECUTE", 0},
		{"stamp with two digits", "x audit(1795440701.24:47): ipe_op=EXECUTE", 0},
		{"stamp without serial", "x audit(1795440701.244): ipe_op=EXECUTE", 0},
		{"stamp that is cut", "x audit(1795440701.244:47 ipe_op=EXECUTE", 0},
		{"lsm=ipe goes on", "x " + st + ": lsm=ipe2", 0},
		{"lsm=ipe goes on with a hyphen", "x " + st + ": lsm=ipe-x", 0},
		{"another key", "x " + st + ": old_lsm=ipe", 0},
		{"IPE alone", "x " + st + ": IPE enforce=1", 0},
		{"tag of another hundred", "x AUDIT1300 ipe_op=EXECUTE", 0},
		{"tag with five digits", "x AUDIT14200 ipe_op=EXECUTE", 0},
		{"tag alone", "x AUDIT1420", 0},
		{"event of ours without an identity, of a container", `2026-11-23T13:35:35.1Z stdout F {"event":"lost","count":2}`, 0},
		{"spool of another program", `x {"spool":"5f1c9a02","seq":9} spool=5f1c9a0277d8e3b4 y`, 0},
		{"JSON of others without it", `{"message":"hello"}`, 0},
		{"journal, blob", "Nov 23 13:31:41 vm audit: [186B blob data]", 0},
		{"empty line", "", 0},
		{"NULs", "\x00\x00\x00", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []string{other + tt.line, other + tt.line + "\n", other + tt.line + "\r\n"} {
				lines, reason := unreadLines(in)
				if cut := tt.name == "JSON that is broken"; lines != tt.want || (reason != "") != (cut && !strings.HasSuffix(in, "\n")) {
					t.Errorf("%q: %d lines and %q, want %d", in[max(0, len(in)-10):], lines, reason, tt.want)
				}
			}
		})
	}
}

func TestInputWithoutARecordIsTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		told     bool
	}{
		{"nothing", "", false},
		{"a lone newline", "\n", false},
		{"blanks", " \t\r\n \n\n", false},
		{"NULs", strings.Repeat("\x00", 3*bufferSize), false},
		{"NULs and blanks", "\x00\n \x00\x00\r\n\x00", false},
		{"byte order mark", "\ufeff", false},
		{"UTF-16 mark", "\xff\xfe", false},
		{"UTF-16 blanks", "\xff\xfe \x00\n\x00", false},
		{"text", "hello\n", true},
		{"one letter", "x", true},
		{"kernel log without audit", "[   12.345678] usb 1-1: new device\n", true},
		{"JSON", "{}\n", true},
		{"empty list", "[]\n", true},
		{"JSON of several lines", "{\n\"a\": 1\n}\n", true},
		{"journal without audit", `{"_TRANSPORT":"syslog","MESSAGE":"x"}` + "\n", true},
		{"export without audit", "__CURSOR=1\n_TRANSPORT=syslog\nMESSAGE=x\n\n", true},
		{"no entries", "-- No entries --\n", true},
		{"separator of ausearch", "----\n", true},
		{"stamp alone", stamp, true},

		{"record of IPE", "type=1420 " + text, false},
		{"record of another type", "type=SYSCALL msg=" + stamp + "arch=c000003e\n", false},
		{"record of a type by number", "type=1300 msg=" + stamp + "arch=c000003e\n", false},
		{"record in the kernel log", "[    0.1] audit: type=2000 audit(1.000:1): state=initialized\n", false},
		{"record of another type in the journal", `{"_TRANSPORT":"audit","_AUDIT_TYPE":"1130","MESSAGE":"SERVICE_START pid=1"}`, false},
		{"named record in the journal", "Nov 23 13:31:41 vm audit[1]: AUDIT1130 pid=1\n", false},
		{"record and much else", "x\ny\ntype=EOE msg=audit(1.000:2): \nz\n", false},
		{"capture", string(datagram(7, 0, message(1300, "audit(1.000:2): x", 0))), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []string{tt.in, string(compress(t, []byte(tt.in)))} {
				if lines, reason := unreadLines(in); lines != 0 || (reason == reasonNothing) != tt.told || reason != "" && !tt.told {
					t.Errorf("%d lines and %q", lines, reason)
				}
			}
		})
	}
}

func TestUnreadErrorIsOneLine(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		err  *UnreadError
		want string
	}{
		{&UnreadError{Parts: []Unread{{1, "a"}}}, "1 line was not read: a"},
		{&UnreadError{Parts: []Unread{{2, "a"}, {0, "b"}}}, "2 lines were not read: a; b"},
		{&UnreadError{Parts: []Unread{{0, "offset 7: c"}}, Err: &DamageError{7, "c"}}, "offset 7: c"},
		{&UnreadError{Parts: []Unread{{2, "a"}}, Err: broken}, "2 lines were not read: a; disk on fire"},
	} {
		if got := tt.err.Error(); got != tt.want || strings.Contains(got, "\n") {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if !errors.Is(tt.err, tt.err.Err) && tt.err.Err != nil {
			t.Errorf("%q does not wrap its error", tt.want)
		}
	}
}
