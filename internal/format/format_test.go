package format

import (
	"bytes"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// denied is an ordinary denial as Linux 6.12 records it.
func denied() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindAccess, Dialect: ipe.DialectMainline, Type: 1420,
		Has:  ipe.HasStamp | ipe.HasPID | ipe.HasIno,
		Time: 1795440956605, Serial: 590,
		Verdict: ipe.VerdictDenied, Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"),
		Comm: []byte("bash"), Path: []byte("/usr/local/bin/tool"), Dev: []byte("vda2"),
		Rule: []byte("DEFAULT op=EXECUTE action=DENY"),
		PID:  2204, Ino: 1024,
		RuleKind: ipe.RuleOpDefault, Action: ipe.ActionDeny,
		Enforcing: ipe.True,
		Raw: []byte(`audit(1795440956.605:590): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=2204 ` +
			`comm="bash" path="/usr/local/bin/tool" dev="vda2" ino=1024 rule="DEFAULT op=EXECUTE action=DENY"`),
	}
}

// explicit is an access that a rule with a nested quote allowed.
func explicit() *ipe.Event {
	ev := denied()
	ev.Verdict, ev.Action, ev.RuleKind = ipe.VerdictAllowed, ipe.ActionAllow, ipe.RuleExplicit
	ev.Rule = []byte(`op=EXECUTE dmverity_roothash="sha256":26C6 action=ALLOW`)
	ev.RuleProperties = [][]byte{[]byte("dmverity_roothash=sha256:26c6"), []byte("boot_verified=TRUE")}
	return ev
}

// anonymous is a denial without a file, the mode not known.
func anonymous() *ipe.Event {
	ev := denied()
	ev.Verdict, ev.Enforcing, ev.Hook = ipe.VerdictUnknown, ipe.Unknown, []byte("MMAP")
	ev.Path, ev.Dev, ev.Has = nil, nil, ev.Has&^ipe.HasIno
	return ev
}

func failedLoad() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindPolicyLoad, Dialect: ipe.DialectMainline, Type: 1422,
		Has:  ipe.HasStamp | ipe.HasAUID | ipe.HasSES | ipe.HasErrno,
		Time: 1795444623360, Serial: 27, AUID: 1000, SES: 2, LSM: []byte("ipe"), Res: ipe.False, Errno: -74,
		Raw: []byte("audit(1795444623.360:27): policy_name=? policy_version=? policy_digest=? auid=1000 ses=2 lsm=ipe res=0 errno=-74"),
	}
}

func loaded() *ipe.Event {
	ev := failedLoad()
	ev.Res, ev.Errno = ipe.True, 0
	ev.Policy = ipe.Policy{Name: []byte("we\"ird\x1b"), Version: []byte("1.0.0"), Digest: []byte("sha256:61468d")}
	return ev
}

func activated() *ipe.Event {
	ev := loaded()
	ev.Kind, ev.Type, ev.Has = ipe.KindPolicyActivate, 1421, ev.Has&^ipe.HasErrno
	ev.Policy.Name = []byte("new")
	ev.OldPolicy = ipe.Policy{Name: []byte("old"), Version: []byte("0.9.0"), Digest: []byte("sha256:e3b0")}
	return ev
}

func switchedOff() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindEnforcement, Dialect: ipe.DialectMainline, Type: 1404,
		Has:  ipe.HasStamp | ipe.HasAUID | ipe.HasSES,
		Time: 1795440956605, Serial: 11, Enforcing: ipe.False, OldEnforcing: ipe.True,
		AUID: 1000, SES: 3, LSM: []byte("ipe"), Res: ipe.True,
		Raw: []byte("audit(1795440956.605:11): enforcing=0 old_enforcing=1 auid=1000 ses=3 enabled=1 old-enabled=1 lsm=ipe res=1"),
	}
}

func unparsed() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindUnparsed, Dialect: ipe.DialectMainline, Type: 1420,
		Has: ipe.HasStamp, Time: 1795440956605, Serial: 12,
		Raw: []byte("audit(1795440956.605:12): ipe_op=\x1b[31m\xff rubbish"),
	}
}

func lost() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindLost, Has: ipe.HasStamp | ipe.HasCount | ipe.HasSince | ipe.HasUntil | ipe.HasSeqRange,
		Time: 1795440957000, Count: 12, Accuracy: ipe.AccuracyAtLeast, Stage: []byte("kernel"),
		Since: 1795440956000, Until: 1795440957000, FirstSeq: 5, LastSeq: 16,
	}
}

func forged() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindForged, Has: ipe.HasStamp | ipe.HasCount,
		Time: 1795440957000, Count: 1, Accuracy: ipe.AccuracyExact,
	}
}

// repeated is 999 more of denied, of several processes that are called the same.
func repeated() *ipe.Event {
	ev := denied()
	ev.Kind, ev.Dialect, ev.Type = ipe.KindRepeated, ipe.DialectNone, 0
	ev.Has = ev.Has&^ipe.HasPID | ipe.HasCount | ipe.HasSince | ipe.HasUntil | ipe.HasSeqRange
	ev.Count, ev.Since, ev.Until, ev.FirstSeq, ev.LastSeq = 999, 1795440956605, 1795440957000, 5, 1016
	ev.PIDs, ev.Comms, ev.Raw = 12, 1, nil
	return ev
}

// auditOff is from a record.
func auditOff() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindAuditConfig, Type: ipe.TypeAuditConfigChange, Has: ipe.HasStamp | ipe.HasAUID | ipe.HasSES,
		Time: 1796082676286, Serial: 1442817, AUID: 1000, SES: 3, Res: ipe.True,
		What: []byte("audit_disabled"), Old: []byte("1"), New: []byte("0"), Effect: []byte("from here on nothing is known"),
		Raw: []byte("audit(1796082676.286:1442817): op=set audit_enabled=0 old=1 auid=1000 ses=3 res=1"),
	}
}

// excluded is from a question.
func excluded() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindAuditConfig, Has: ipe.HasStamp, Time: 1796082677000,
		What: []byte("rule_added"), New: []byte("exclude all of 1420"), Effect: []byte("from here on denials are not recorded"),
	}
}

func started() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindStarted, Has: ipe.HasStamp, Time: 1795440950000,
		Version: []byte("1.0.0"), Kernel: []byte("6.12.117"), IPEStatus: []byte("active"),
		Enforcing: ipe.True, SuccessAudit: ipe.False,
		Policy: ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0"), Digest: []byte("sha256:6146")},
	}
}

func stopped() *ipe.Event {
	return &ipe.Event{
		Kind: ipe.KindStopped, Has: ipe.HasStamp, Time: 1795440990000, Version: []byte("1.0.0"),
	}
}

// hostile is an access whose strings try everything.
func hostile() *ipe.Event {
	ev := explicit()
	ev.Comm = []byte("a\nb\x00c")
	ev.Path = []byte("/tmp/\"x\\ ]\x1b[2J\xff\u0085\u202e\u2028\ufffd\U0001f600 (deleted)")
	ev.RuleProperties = [][]byte{[]byte("intended_pathname=/a\xfeb"), []byte("x=\x07")}
	ev.Extra = []ipe.KeyValue{
		{Key: []byte("k"), Value: []byte(`"v 1"`)},
		{Key: []byte("k"), Value: []byte("2\xff")},
		{Key: []byte("k\n"), Value: []byte("")},
		{Key: []byte("k_hex"), Value: []byte("00")},
	}
	return ev
}

// byService is a denial of which everything is known about who asked.
func byService() *ipe.Event {
	ev := denied()
	ev.Has |= ipe.HasAUID | ipe.HasUID | ipe.HasSES | ipe.HasEUID | ipe.HasPPID | ipe.HasExit
	ev.AUID, ev.UID, ev.SES = 1000, 33, 4
	ev.Caller = ipe.Caller{
		EUID: 0, PPID: 812, Exit: -13, Success: ipe.False, Syscall: []byte("execve"), TTY: []byte("pts0"),
		Exe: []byte("/usr/bin/bash"), Proctitle: []byte("sh -c tool \xff"),
		Cgroup: []byte("/system.slice/nginx.service"), Unit: []byte("nginx.service"), UserUnit: []byte("app.service"),
		Container: []byte("0123456789ab"), Pod: []byte("2f0b5a3e-9a53-4f0c-8a3b-0d2a5b6c7d8e"),
		Context: ipe.ContextAudit | ipe.ContextProc,
	}
	return ev
}

// all is one event of each sort, by name.
func all() map[string]*ipe.Event {
	return map[string]*ipe.Event{
		"denied": denied(), "explicit": explicit(), "anonymous": anonymous(), "hostile": hostile(),
		"failed load": failedLoad(), "loaded": loaded(), "activated": activated(),
		"switched off": switchedOff(), "unparsed": unparsed(), "lost": lost(), "forged": forged(),
		"audit off": auditOff(), "excluded": excluded(), "repeated": repeated(), "by a service": byService(),
		"started": started(), "stopped": stopped(), "zero": {},
	}
}

// inSpool is the context of a daemon with a spool.
func inSpool() *Context {
	return &Context{Identity: Identity{Spool: 0x4f3a9c21d06b7e58, Seq: 12345, Host: []byte("node7"), BootID: []byte("0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7")}}
}

// funcs is every Func, by name.
func funcs(t testing.TB) map[string]Func {
	s := Syslog{Facility: 13, SDID: "ipe@32473", PID: 77}
	rfc5424, err := s.RFC5424()
	if err != nil {
		t.Fatal(err)
	}
	rfc3164, err := s.RFC3164()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Func{
		"json": AppendJSON, "text": AppendText, "colour": AppendTextColour, "raw": AppendRaw,
		"journal": AppendJournal, "rfc5424": rfc5424, "rfc3164": rfc3164,
		"otlp": OTLP{Version: "1.0.0"}.Func(),
	}
}

func TestFuncsAppendBehindDst(t *testing.T) {
	t.Parallel()
	for name, f := range funcs(t) {
		for kind, ev := range all() {
			want := f(nil, ev, inSpool())
			dst := append(make([]byte, 0, 8192), "before"...)
			got := f(dst, ev, inSpool())
			if string(dst) != "before" || string(got) != "before"+string(want) {
				t.Errorf("%s of %s: got %q behind %q, want %q", name, kind, got[6:], dst, want)
			}
		}
	}
}

func TestLineFormatsHaveOneNewlineAtTheEnd(t *testing.T) {
	t.Parallel()
	for name, f := range funcs(t) {
		want := 1
		switch name {
		case "journal", "otlp":
			continue
		case "rfc5424", "rfc3164":
			want = 0
		}
		for kind, ev := range all() {
			c := inSpool()
			c.Raw = true
			got := f(nil, ev, c)
			if len(got) == 0 && name == "raw" {
				continue
			}
			if bytes.Count(got, []byte("\n")) != want || want == 1 && got[len(got)-1] != '\n' {
				t.Errorf("%s of %s: newlines in %q", name, kind, got)
			}
		}
	}
}

func TestFuncsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	buf := make([]byte, 0, 16384)
	for name, f := range funcs(t) {
		for kind, ev := range all() {
			c := inSpool()
			if n := testing.AllocsPerRun(100, func() { buf = f(buf[:0], ev, c) }); n != 0 {
				t.Errorf("%s of %s: %v allocations, want 0", name, kind, n)
			}
		}
	}
}

func BenchmarkFuncs(b *testing.B) {
	ev, c := denied(), inSpool()
	for name, f := range funcs(b) {
		b.Run(name, func(b *testing.B) {
			buf := f(nil, ev, c)
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = f(buf[:0], ev, c)
			}
		})
	}
}

func TestBehindNamesOnlyAnEarlierEventOfTheSameSpool(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ spool, seq, want uint64 }{
		{7, 4, 4}, {7, 0, 0}, {8, 4, 0}, {7, 9, 0}, {7, 10, 0},
	} {
		id := Identity{Spool: 7, Seq: 9, PrevSeq: 3}
		id.Behind(tt.spool, tt.seq)
		if !id.Partial || id.PrevSeq != tt.want {
			t.Errorf("behind %d of %d: %+v, want %d", tt.seq, tt.spool, id, tt.want)
		}
	}
}
