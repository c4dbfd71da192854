package backfill

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// denial is a record of IPE with its serial.
func denial(serial int) string {
	return fmt.Sprintf(`audit(1795440105.%03d:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`, serial, serial, serial)
}

// lines returns what gives lines one by one, as /dev/kmsg does, each with its number
// from seq on.
func lines(seq int, texts ...string) func([]byte) (int, error) {
	return func(p []byte) (int, error) {
		if len(texts) == 0 {
			return 0, syscall.EAGAIN
		}
		text := texts[0]
		texts = texts[1:]
		switch text {
		case "EPIPE":
			return 0, syscall.EPIPE
		case "EINTR":
			return 0, syscall.EINTR
		}
		if !strings.Contains(text, ";") {
			text = fmt.Sprintf("5,%d,%d,-;%s\n SUBSYSTEM=x\n", seq, 1000*seq, text)
		}
		seq++
		return copy(p, text), nil
	}
}

func read(t *testing.T, seq int, texts ...string) Log {
	t.Helper()
	l, err := Read(lines(seq, texts...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// texts returns "TYPE BODY" of records, and CUT behind those whose end is missing.
func texts(records []Record) (list []string) {
	for _, r := range records {
		text := fmt.Sprintf("%d %s", r.Type, r.Text)
		if r.Cut {
			text += " CUT"
		}
		list = append(list, text)
	}
	return list
}

func TestKernelLogIsReadWithoutWhatOthersWrite(t *testing.T) {
	t.Parallel()
	long := `audit: type=1420 audit(1795440105.009:9): ipe_op=EXECUTE path="/` + strings.Repeat("a", 1100)
	l := read(t, 0,
		"Linux version 7.3.4",
		"audit: type=1420 "+denial(1),
		"EINTR",
		"13,7,1000,-;audit: type=1420 "+denial(2)+"\n", // facility 1: a process wrote it
		"30,8,1000,-;audit: type=1420 "+denial(3)+"\n", // facility 3
		"audit: type=1300 audit(1795440105.004:4): arch=c000003e syscall=59 success=no exit=-13",
		"audit: type=1404 audit(1795440105.005:5): enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1",
		"audit: type=1404 audit(1795440105.005:6): enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=selinux res=1",
		`audit: type=1422 audit(1795440105.007:7): policy_name="a\x5cb\x1b\xc3\xa9" policy_version=1.0.0 policy_digest=sha256:00 auid=0 ses=1 lsm=ipe res=1`,
		"x audit: type=1420 "+denial(8),
		long[:maxText],
		"audit: type=x "+denial(10),
		"audit: type=1420 no stamp ipe_op=EXECUTE",
		"no header",
	)
	want := []string{
		"1420 " + denial(1),
		"1404 audit(1795440105.005:5): enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1",
		"1422 audit(1795440105.007:7): policy_name=\"a\\b\x1b\u00e9\" policy_version=1.0.0 policy_digest=sha256:00 auid=0 ses=1 lsm=ipe res=1",
		"1420 " + strings.TrimPrefix(long[:maxText], "audit: type=1420 ") + " CUT",
	}
	if diff := cmp.Diff(want, texts(l.Records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if !l.Complete() {
		t.Error("something is missing")
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		seq     int
		texts   []string
		missing bool
	}{
		{"nothing", 0, []string{"audit: type=1420 " + denial(1)}, false},
		{"suppressed", 0, []string{"audit: type=1420 " + denial(1), "kauditd_printk_skb: 11 callbacks suppressed", "audit: type=1420 " + denial(5)}, true},
		{"suppressed by others", 0, []string{"net_ratelimit: 11 callbacks suppressed"}, false},
		{"said by a process", 0, []string{"12,0,1,-;kauditd_printk_skb: 11 callbacks suppressed\n"}, false},
		{"beginning overwritten", 700, []string{"audit: type=1420 " + denial(1)}, true},
		{"overwritten meanwhile", 0, []string{"a", "EPIPE", "b"}, true},
	} {
		l := read(t, tt.seq, tt.texts...)
		if _, missing := Select(&l, &Log{}).Records(); missing != tt.missing {
			t.Errorf("%s: missing is %v", tt.name, missing)
		}
	}
}

// What the socket got, and what comes behind that in the log, is not told again.
func TestSocketTakesOverWhereItsFirstRecordStands(t *testing.T) {
	t.Parallel()
	l := read(t, 0,
		"audit: type=1420 "+denial(1),
		"audit: type=1420 "+denial(3), // of another processor
		"audit: type=1420 "+denial(2),
		"audit: type=1420 "+denial(4),
		"kauditd_printk_skb: 11 callbacks suppressed",
		"audit: type=1420 "+denial(40),
	)
	s := Select(&l, &Log{})
	s.Live(1300, []byte("audit(1795440105.004:4): arch=c000003e"))
	s.Live(1420, []byte(denial(4))) // and what lies behind is in the socket, or dropped there
	records, missing := s.Records()
	if diff := cmp.Diff([]string{"1420 " + denial(1), "1420 " + denial(3), "1420 " + denial(2)}, texts(records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if missing {
		t.Error("what was not printed behind the first record of the socket counts as missing")
	}
}

func TestCutRecordIsOneThatBeginsSo(t *testing.T) {
	t.Parallel()
	whole := "audit(1795440105.009:9): ipe_op=EXECUTE path=\"/" + strings.Repeat("a", 1100) + `" rule="DEFAULT action=DENY"`
	cut := "audit: type=1420 " + whole
	l := read(t, 0, cut[:maxText])
	s := Select(&l, &Log{})
	s.Known(1420, []byte(whole))
	if records, _ := s.Records(); records != nil {
		t.Errorf("told again: %q", texts(records))
	}
	journal := Log{}
	journal.add(1420, []byte(whole), false)
	journal.add(1420, []byte(denial(3)), false)
	records, _ := Select(&l, &journal).Records()
	if diff := cmp.Diff([]string{"1420 " + denial(3), "1420 " + whole}, texts(records)); diff != "" {
		t.Errorf("with the journal (-want +got):\n%s", diff)
	}
}

// Entries of a journal: one that it took from the kernel log, one from the audit
// socket, one that a process wrote.
func TestJournalHasBothWays(t *testing.T) {
	t.Parallel()
	const boot = "_BOOT_ID=5a3f0c8a9a534f0c8a3b0d2a5b6c7d8e\n"
	export := "__CURSOR=a\n" + boot + "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nSYSLOG_IDENTIFIER=kernel\nMESSAGE=audit: type=1420 " + denial(1) + "\n\n" +
		"__CURSOR=b\n" + boot + "_TRANSPORT=audit\n_AUDIT_TYPE=1420\n_AUDIT_ID=2\n_SOURCE_REALTIME_TIMESTAMP=1795440105002000\nMESSAGE=AUDIT1420 " + strings.SplitN(denial(2), "): ", 2)[1] + "\n\n" +
		"__CURSOR=c\n" + boot + "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=usb 1-1: new device\n\n"
	l, err := readExport(strings.NewReader(export))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1420 " + denial(1), "1420 " + denial(2)}, texts(l.Records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	kmsg := read(t, 700, "audit: type=1420 "+denial(2), "audit: type=1420 "+denial(3))
	s := Select(&kmsg, &l)
	s.Live(1420, []byte(denial(3)))
	records, missing := s.Records()
	if diff := cmp.Diff([]string{"1420 " + denial(1), "1420 " + denial(2)}, texts(records)); diff != "" || missing {
		t.Errorf("missing %v (-want +got):\n%s", missing, diff)
	}
}

// TestKernelLogOfThisMachine: the log is at its beginning again afterwards.
func TestKernelLogOfThisMachine(t *testing.T) {
	t.Parallel()
	f, err := losses.OpenKmsg()
	if err != nil {
		t.Skipf("needs the right to read /dev/kmsg: %v", err)
	}
	defer f.Close()
	first, err := ReadKmsg(f)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ReadKmsg(f)
	if err != nil || len(second.Records) < len(first.Records) && !second.Overwritten {
		t.Errorf("%d records, then %d, %v", len(first.Records), len(second.Records), err)
	}
}

func TestOnceInABoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if done, err := Done(dir, "a"); done || err != nil {
		t.Errorf("before: %v, %v", done, err)
	}
	if err := Mark(dir, "a"); err != nil {
		t.Fatal(err)
	}
	for boot, want := range map[string]bool{"a": true, "b": false} {
		if done, err := Done(dir, boot); done != want || err != nil {
			t.Errorf("boot %s: %v, %v", boot, done, err)
		}
	}
}

// FuzzKmsg holds the reader to what it promises: records that concern us, and whose
// text is in the line, where nothing is escaped.
func FuzzKmsg(f *testing.F) {
	f.Add([]byte("5,0,0,-;audit: type=1420 "+denial(1)+"\n K=v\n"), true)
	f.Add([]byte(`5,9,0,-,caller=T1;audit: type=1422 audit(1.000:1): policy_name="\x5c\x" lsm=ipe res=1`), false)
	f.Add([]byte("4,9,0,c;kauditd_printk_skb: 7 callbacks suppressed\n"), false)
	f.Fuzz(func(t *testing.T, line []byte, first bool) {
		var l Log
		before := bytes.Clone(line)
		l.line(bytes.Clone(line), first)
		for i := range l.Records {
			r := &l.Records[i]
			if ipe.Classify(r.Type, r.Text) != ipe.ClassIPE {
				t.Errorf("of no concern: %q", r.Text)
			}
			if !bytes.Contains(before, []byte(`\x`)) && !bytes.Contains(before, r.Text) {
				t.Errorf("%q is not in %q", r.Text, before)
			}
		}
		s := Select(&l, &l)
		records, _ := s.Records()
		if len(records) != len(l.Records) {
			t.Errorf("%d records, of %d", len(records), len(l.Records))
		}
		for i := range records {
			s.Live(records[i].Type, records[i].Text)
		}
		if records, _ := s.Records(); len(records) > 0 {
			t.Errorf("told again: %q", texts(records))
		}
	})
}
