package format

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	words "github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// zone is one hour ahead of UTC.
var zone = time.FixedZone("", 3600)

func TestAppendText(t *testing.T) {
	t.Parallel()
	wouldDeny := denied()
	wouldDeny.Verdict, wouldDeny.Enforcing = ipe.VerdictWouldDeny, ipe.False
	wouldDeny.ActivePolicy = ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0")}
	buffer := denied()
	buffer.Op, buffer.Hook, buffer.Path, buffer.Dev = []byte("KMODULE"), []byte("KERNEL_LOAD"), nil, nil
	buffer.Has &^= ipe.HasIno
	noPath := denied()
	noPath.Path = nil
	switchedOn := switchedOff()
	switchedOn.Enforcing, switchedOn.OldEnforcing = ipe.True, ipe.False
	unknownErrno := failedLoad()
	unknownErrno.Errno = -4000
	manyLost := lost()
	manyLost.Has, manyLost.Accuracy, manyLost.Stage = ipe.HasStamp, ipe.AccuracyUnknown, nil
	noStamp := stopped()
	noStamp.Has = 0

	const at = "2026-11-23T14:35:56.605+01:00 "
	tests := []struct {
		name string
		ev   *ipe.Event
		c    Context
		want string
	}{
		{"denied", denied(), Context{}, at + "DENIED     EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pid=2204 dev=vda2 ino=1024" +
			" rule: DEFAULT op=EXECUTE action=DENY"},
		{"would deny", wouldDeny, Context{}, at + "WOULD DENY EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pid=2204 dev=vda2 ino=1024" +
			" rule: DEFAULT op=EXECUTE action=DENY"},
		{"allowed", explicit(), Context{}, at + "ALLOWED    EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pid=2204 dev=vda2 ino=1024" +
			` rule: op=EXECUTE dmverity_roothash="sha256":26C6 action=ALLOW`},
		{"unknown", anonymous(), Context{}, at + "UNKNOWN    EXECUTE MMAP anonymous memory comm=bash pid=2204" +
			" (the record does not say whether IPE was enforcing) rule: DEFAULT op=EXECUTE action=DENY"},
		{"repeated", repeated(), Context{}, at + "DENIED     999 more times: EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pids=12 dev=vda2 ino=1024" +
			", seq 5 to 1016, since 2026-11-23T14:35:56.605+01:00, until 2026-11-23T14:35:57.000+01:00 rule: DEFAULT op=EXECUTE action=DENY"},
		{"buffer", buffer, Context{}, at + "DENIED     KMODULE KERNEL_LOAD data without a file comm=bash pid=2204 rule: DEFAULT op=EXECUTE action=DENY"},
		{"no path", noPath, Context{}, at + "DENIED     EXECUTE BPRM_CHECK file of unknown path comm=bash pid=2204 dev=vda2 ino=1024" +
			" rule: DEFAULT op=EXECUTE action=DENY"},
		{"hostile", hostile(), Context{}, at + `ALLOWED    EXECUTE BPRM_CHECK ` +
			`"/tmp/\"x\\ ]\x1b[2J\xff\u0085\u202e\u2028` + "\ufffd\U0001f600" + ` (deleted)" comm="a\nb\x00c" pid=2204 dev=vda2 ino=1024` +
			` k="v 1" k=2\xff k\n= k_hex=00 rule: op=EXECUTE dmverity_roothash="sha256":26C6 action=ALLOW`},
		{"failed load", failedLoad(), Context{}, "2026-11-23T15:37:03.360+01:00 POLICY LOAD FAILED: EBADMSG " +
			"(not a signed policy, or a mistake in its text), errno=-74 auid=1000 ses=2"},
		{"failed load without a name", unknownErrno, Context{}, "2026-11-23T15:37:03.360+01:00 POLICY LOAD FAILED: errno=-4000 auid=1000 ses=2"},
		{"loaded", loaded(), Context{}, `2026-11-23T15:37:03.360+01:00 POLICY LOADED "we\"ird\x1b" 1.0.0 sha256:61468d auid=1000 ses=2`},
		{"activated", activated(), Context{}, "2026-11-23T15:37:03.360+01:00 POLICY ACTIVATED new 1.0.0 sha256:61468d" +
			" in place of old 0.9.0 sha256:e3b0 auid=1000 ses=2"},
		{"switched off", switchedOff(), Context{}, at + "*** IPE ENFORCEMENT SWITCHED OFF: now permissive *** auid=1000 ses=3"},
		{"switched on", switchedOn, Context{}, at + "*** IPE ENFORCEMENT SWITCHED ON: now enforcing *** auid=1000 ses=3"},
		{"with raw", switchedOff(), Context{Raw: true}, at + "*** IPE ENFORCEMENT SWITCHED OFF: now permissive *** auid=1000 ses=3" +
			" raw: audit(1795440956.605:11): enforcing=0 old_enforcing=1 auid=1000 ses=3 enabled=1 old-enabled=1 lsm=ipe res=1"},
		{"unparsed", unparsed(), Context{Raw: true}, at + `UNPARSED   record of type 1420: audit(1795440956.605:12): ipe_op=\x1b[31m\xff rubbish`},
		{"lost", lost(), Context{}, "2026-11-23T14:35:57.000+01:00 LOST       at least 12 records at stage kernel, seq 5 to 16," +
			" since 2026-11-23T14:35:56.000+01:00, until 2026-11-23T14:35:57.000+01:00"},
		{"lost without number", manyLost, Context{}, "2026-11-23T14:35:57.000+01:00 LOST       an unknown number of records"},
		{"forged", forged(), Context{}, "2026-11-23T14:35:57.000+01:00 FORGED     1 message not from the kernel refused"},
		{"started", started(), Context{}, "2026-11-23T14:35:50.000+01:00 STARTED    ipe-auditd 1.0.0 on Linux 6.12.117, IPE active, enforcing," +
			" policy lab 1.0.0 sha256:6146, allowed accesses are not recorded"},
		{"stopped without stamp", noStamp, Context{}, "(no time) STOPPED    ipe-auditd 1.0.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.c.Zone = zone
			got := string(AppendText(nil, tt.ev, &tt.c))
			if diff := cmp.Diff(tt.want+"\n", got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAppendTextColourOnlyAddsColours(t *testing.T) {
	t.Parallel()
	codes := strings.NewReplacer(alarm, "", bad, "", warn, "", odd, "", good, "", news, "", dim, "", plain, "")
	for name, ev := range all() {
		c := inSpool()
		c.IDs = true
		got := string(AppendTextColour(nil, ev, c))
		if !strings.HasSuffix(strings.SplitAfter(got, plain)[0], plain) {
			t.Errorf("%s: no colour in %q", name, got)
		}
		if want := string(AppendText(nil, ev, c)); codes.Replace(got) != want {
			t.Errorf("%s: got %q, want %q and colours", name, got, want)
		}
	}
}

func TestTextSaysWhoAsked(t *testing.T) {
	t.Parallel()
	names := func(uid uint32) string { return map[uint32]string{0: "root"}[uid] }
	for _, tt := range []struct {
		name  string
		has   ipe.Has
		users [3]uint32 // uid, auid, euid
		who   ipe.Caller
		user  func(uint32) string
		want  string
	}{
		{"nobody knows", 0, [3]uint32{}, ipe.Caller{}, names, ""},
		{"a service", ipe.HasUID, [3]uint32{}, ipe.Caller{Exe: []byte("/usr/bin/bash"), Unit: []byte("nginx.service")}, names, " by root /usr/bin/bash in nginx.service"},
		{"after a login", ipe.HasUID | ipe.HasAUID, [3]uint32{0, 1000}, ipe.Caller{Exe: []byte("/usr/bin/bash"), Unit: []byte("nginx.service")}, names, " by root (auid 1000) /usr/bin/bash in nginx.service"},
		{"of another host", ipe.HasUID | ipe.HasAUID, [3]uint32{0, 1000}, ipe.Caller{}, nil, " by uid 0 (auid 1000)"},
		{"a user without a name", ipe.HasUID | ipe.HasAUID, [3]uint32{1000, 1000}, ipe.Caller{}, names, " by uid 1000"},
		{"set user id", ipe.HasUID | ipe.HasAUID | ipe.HasEUID, [3]uint32{1000, 1001, 0}, ipe.Caller{}, nil, " by uid 1000 (auid 1001, euid 0)"},
		{"only the login", ipe.HasAUID, [3]uint32{0, 1000}, ipe.Caller{Exe: []byte("/a b")}, nil, ` by auid 1000 "/a b"`},
		{"only the program", 0, [3]uint32{}, ipe.Caller{Exe: []byte("/b")}, nil, " by /b"},
		{"a session", 0, [3]uint32{}, ipe.Caller{Unit: []byte("user@1000.service"), UserUnit: []byte("app.service")}, nil, " in app.service of user@1000.service"},
		{"a container", 0, [3]uint32{}, ipe.Caller{Container: []byte("0123"), Pod: []byte("4567"), Context: ipe.ContextParent}, nil, " in container 0123 in pod 4567 (its parent)"},
		{"no line of its own", 0, [3]uint32{}, ipe.Caller{Unit: []byte("a\n\x1b rule: x")}, nil, ` in "a\n\x1b rule: x"`},
	} {
		ev := denied()
		ev.Has |= tt.has
		ev.UID, ev.AUID, ev.Caller = tt.users[0], tt.users[1], tt.who
		ev.EUID = tt.users[2]
		got := string(AppendText(nil, ev, &Context{Zone: zone, User: tt.user}))
		want := "2026-11-23T14:35:56.605+01:00 DENIED     EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pid=2204 dev=vda2 ino=1024" + tt.want + " rule: DEFAULT op=EXECUTE action=DENY\n"
		if got != want {
			t.Errorf("%s: got %q, want %q", tt.name, got, want)
		}
	}
}

func TestLinesEndWithTheIDOfTheEvent(t *testing.T) {
	t.Parallel()
	several := denied()
	several.Kind, several.Has, several.FirstSeq, several.LastSeq = ipe.KindRepeated, several.Has|ipe.HasSeqRange, 7, 9
	spool := Identity{Spool: 0x4f3a9c21d06b7e58}
	for _, tt := range []struct {
		name string
		ev   *ipe.Event
		id   Identity
		want string
	}{
		{"in a spool", denied(), inSpool().Identity, "=DENY 4f3a9c21d06b7e58:12345\n"},
		{"of a log", denied(), Identity{}, "=DENY 1795440956.605:590\n"},
		{"stands for several", several, spool, "=DENY 4f3a9c21d06b7e58:7\n"},
		{"told to one reader", lost(), spool, "+01:00\n"},
	} {
		got := string(AppendText(nil, tt.ev, &Context{Identity: tt.id, IDs: true, Zone: zone}))
		if !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: got %q, want ...%q", tt.name, got, tt.want)
		}
	}
}

func FuzzAppendText(f *testing.F) {
	f.Add([]byte("/bin/sh"), []byte("DEFAULT action=DENY"))
	f.Add([]byte("x comm=evil pid=1\n\x1b]0;\a\x9b\xc2\x9b"), []byte("\xe2\x80\xae\xff\r\\"))
	f.Fuzz(func(t *testing.T, path, rule []byte) {
		ev := denied()
		ev.Path, ev.Rule = path, rule
		got := AppendText(nil, ev, &Context{})
		if !utf8.Valid(got) || bytes.IndexByte(got, '\n') != len(got)-1 {
			t.Fatalf("not one line of UTF-8: %q", got)
		}
		for _, r := range string(got[:len(got)-1]) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U in %q", r, got)
			}
		}
		// The path can be got back, and nothing in it reads as another value.
		_, rest, _ := bytes.Cut(got, []byte("BPRM_CHECK "))
		shown := string(rest[:len(words.AppendQuoted(nil, path))])
		want := string(path)
		if strings.HasPrefix(shown, `"`) {
			back, err := strconv.Unquote(shown)
			if err != nil || back != want {
				t.Fatalf("%s reads as %q, %v, want %q", shown, back, err, want)
			}
		} else if shown != want || strings.ContainsAny(shown, " \"\\") {
			t.Fatalf("%s stands for %q", shown, want)
		}
	})
}

// TestSpoolInMemoryIsNoLoss is about the one "lost" that tells of none.
func TestSpoolInMemoryIsNoLoss(t *testing.T) {
	t.Parallel()
	ev := ipe.Event{Kind: ipe.KindLost, Stage: []byte(ipe.StageMemory), Accuracy: ipe.AccuracyExact, Has: ipe.HasCount}
	if text := string(AppendText(nil, &ev, &Context{})); strings.Contains(text, "LOST") || !strings.Contains(text, "IN MEMORY  nothing is lost yet") {
		t.Error(text)
	}
	if Severity(&ev) <= Severity(&ipe.Event{Kind: ipe.KindLost}) {
		t.Error("it is as severe as a loss")
	}
}
