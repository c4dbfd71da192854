package ipe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	companionStamp = "audit(1796063614.540:11): "
	judged         = companionStamp + `ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=191 comm="sh" path="/tmp/x" dev="tmpfs" ino=2 rule="DEFAULT action=DENY"`
	denied         = companionStamp + `arch=c000003e syscall=59 success=no exit=-13 a0=1 items=0 ppid=186 pid=191 auid=1000 uid=0 gid=0 euid=33 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=4 comm="sh" exe="/usr/bin/bash" subj=unconfined key=(null)`
)

type joined struct {
	typ  uint16
	text string
}

// join decodes record and joins the companions to it.
func join(t *testing.T, record string, companions ...joined) *Event {
	t.Helper()
	var d Decoder
	ev := new(Event)
	if class := d.Decode(ev, TypeAccess, []byte(record)); class != ClassIPE || ev.Kind != KindAccess {
		t.Fatalf("not an access: %s", record)
	}
	for _, c := range companions {
		d.Join(ev, c.typ, []byte(c.text))
	}
	return ev
}

// told renders what is known of the caller.
func told(ev *Event) string {
	var b strings.Builder
	for _, s := range []struct {
		key string
		n   uint64
		has Has
	}{{"auid", uint64(ev.AUID), HasAUID}, {"uid", uint64(ev.UID), HasUID}, {"euid", uint64(ev.EUID), HasEUID}, {"ses", uint64(ev.SES), HasSES}, {"ppid", ev.PPID, HasPPID}} {
		if ev.Has&s.has != 0 {
			b.WriteString(s.key + "=" + decimal(int64(s.n)) + " ")
		}
	}
	if ev.Has&HasExit != 0 {
		b.WriteString("exit=" + decimal(ev.Exit) + " ")
	}
	switch ev.Success {
	case True:
		b.WriteString("success ")
	case False:
		b.WriteString("failed ")
	}
	for _, s := range []struct {
		key string
		v   []byte
	}{{"syscall", ev.Syscall}, {"tty", ev.TTY}, {"exe", ev.Exe}, {"proctitle", ev.Proctitle}} {
		if s.v != nil {
			b.WriteString(s.key + "=" + string(s.v) + " ")
		}
	}
	return b.String() + ev.Context.String()
}

func decimal(n int64) string {
	if n < 0 {
		return "-" + decimal(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return decimal(n/10) + decimal(n%10)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	with := func(pairs ...string) joined {
		return joined{TypeSyscall, strings.NewReplacer(pairs...).Replace(denied)}
	}
	whole := "auid=1000 uid=0 euid=33 ses=4 ppid=186 exit=-13 failed syscall=execve tty=pts0 exe=/usr/bin/bash "
	title := func(s string) joined { return joined{TypeProctitle, companionStamp + "proctitle=" + s} }
	for _, tt := range []struct {
		name   string
		record string
		list   []joined
		want   string
	}{
		{"nothing", judged, nil, ""},
		{"denied", judged, []joined{with()}, whole + "audit"},
		{"with its title", judged, []joined{with(), title("7368002D6300782079" + "0000")}, whole + "proctitle=sh -c x y audit"},
		{"title alone", judged, []joined{title(`"/bin/sh"`)}, "proctitle=/bin/sh audit"},
		{"no title", judged, []joined{title("(null)")}, ""},
		{"empty title", judged, []joined{title(`""`)}, ""},
		{"title of NULs", judged, []joined{title("000000")}, ""},
		{"hostile title", judged, []joined{title("1B5B324A0A00FF22")}, "proctitle=\x1b[2J\n \xff\" audit"},
		{"torn title", judged, []joined{title(`"/bin`)}, ""},
		{"arguments instead of the title", judged, []joined{{TypeExecve, companionStamp + `argc=3 a0="/tmp/true" a1="a1" a2=612032`}}, "proctitle=/tmp/true a1 a 2 audit"},
		{"arguments in pieces", judged, []joined{{TypeExecve, companionStamp + `argc=2 a0="x" a1_len=8000 a1[0]=61`}}, "proctitle=x audit"},
		{"arguments like fields", judged, []joined{{TypeExecve, companionStamp + `argc=3 a0="uid=0" a1=2065786520 a2="exe=/bin/x"`}}, "proctitle=uid=0  exe  exe=/bin/x audit"},
		{"title before the arguments", judged, []joined{title(`"t"`), {TypeExecve, companionStamp + `argc=1 a0="a"`}}, "proctitle=t audit"},
		{"title behind the arguments", judged, []joined{{TypeExecve, companionStamp + `argc=1 a0="a"`}, title(`"t"`)}, "proctitle=t audit"},
		{"path, directory and end say nothing", judged, []joined{
			{TypePath, companionStamp + `item=0 name="/bin/sh" inode=7 ouid=0 ogid=0`}, {TypeCWD, companionStamp + `cwd="/"`}, {TypeEOE, companionStamp},
		}, ""},

		{"exec that succeeded: the program is the object", judged, []joined{with("success=no exit=-13", "success=yes exit=0")},
			strings.Replace(strings.Replace(whole, "exit=-13 failed", "exit=0 success", 1), "exe=/usr/bin/bash ", "", 1) + "audit"},
		{"execveat that succeeded", judged, []joined{with("success=no exit=-13", "success=yes exit=0", "syscall=59", "syscall=322")},
			"auid=1000 uid=0 euid=33 ses=4 ppid=186 exit=0 success syscall=execveat tty=pts0 audit"},
		{"an architecture without names", judged, []joined{with("success=no exit=-13", "success=yes exit=0", "c000003e", "c0000102")},
			"auid=1000 uid=0 euid=33 ses=4 ppid=186 exit=0 success syscall=59 tty=pts0 audit"},
		{"it was only asked", strings.Replace(judged, "BPRM_CHECK", "BPRM_CREDS_FOR_EXEC", 1), []joined{with("success=no exit=-13", "success=yes exit=0", "syscall=59", "syscall=322")},
			"auid=1000 uid=0 euid=33 ses=4 ppid=186 exit=0 success syscall=execveat tty=pts0 exe=/usr/bin/bash audit"},
		{"mmap that succeeded", strings.Replace(judged, "BPRM_CHECK", "MMAP", 1), []joined{with("success=no exit=-13", "success=yes exit=140041898688512", "syscall=59", "syscall=9")},
			"auid=1000 uid=0 euid=33 ses=4 ppid=186 exit=140041898688512 success syscall=mmap tty=pts0 exe=/usr/bin/bash audit"},

		{"another architecture", judged, []joined{with("c000003e", "40000003", "syscall=59", "syscall=11")}, whole + "audit"},
		{"arm64", judged, []joined{with("c000003e", "c00000b7", "syscall=59", "syscall=221")}, whole + "audit"},
		{"x32", judged, []joined{with("syscall=59", "syscall=1073742344")}, strings.Replace(whole, "execve", "1073742344", 1) + "audit"},
		{"a system call without a name", judged, []joined{with("syscall=59", "syscall=9999")}, strings.Replace(whole, "execve", "9999", 1) + "audit"},

		{"uid 0 and unset ids", judged, []joined{with("auid=1000", "auid=4294967295", "ses=4 ", "ses=4294967295 ", "euid=33", "euid=0")},
			"uid=0 euid=0 ppid=186 exit=-13 failed syscall=execve tty=pts0 exe=/usr/bin/bash audit"},
		{"no terminal", judged, []joined{with("tty=pts0", "tty=(none)")}, strings.Replace(whole, "tty=pts0 ", "", 1) + "audit"},
		{"hostile terminal", judged, []joined{with("tty=pts0", "tty=p\x1b]\xffs0")}, strings.Replace(whole, "tty=pts0", "tty=p\x1b]\xffs0", 1) + "audit"},
		{"no program", judged, []joined{with(`exe="/usr/bin/bash"`, "exe=(null)")}, strings.Replace(whole, "exe=/usr/bin/bash ", "", 1) + "audit"},
		{"program in hex", judged, []joined{with(`exe="/usr/bin/bash"`, "exe=2F74205C22")}, strings.Replace(whole, "/usr/bin/bash", `/t \"`, 1) + "audit"},
		{"a call that did not return", judged, []joined{with("success=no exit=-13 ", "")}, strings.Replace(whole, "exit=-13 failed ", "", 1)[:len(whole)-len("exit=-13 failed exe=/usr/bin/bash ")] + "audit"},
		{"keys within values", judged, []joined{with(`comm="sh"`, `comm="exe=/x"`, "key=(null)", `key="uid=7 exe=/y"`)}, whole + "audit"},
		{"enriched", judged, []joined{with("key=(null)", "key=(null)\x1dARCH=x86_64 SYSCALL=execve AUID=\"mallory\" UID=\"root\"")}, whole + "audit"},
		{"another process", judged, []joined{with("pid=191", "pid=192")}, ""},
		{"torn", judged, []joined{with(`exe="/usr/bin/bash" subj=unconfined key=(null)`, `exe="/usr/b`)}, ""},
		{"empty", judged, []joined{{TypeSyscall, companionStamp}}, ""},
		{"twice", judged, []joined{with(), with("uid=0", "uid=7", "exit=-13", "exit=-1")}, whole + "audit"},
		{"numbers too large", judged, []joined{with("auid=1000", "auid=4294967296", "ppid=186", "ppid=99999999999999999999", "exit=-13", "exit=x")},
			"uid=0 euid=33 ses=4 failed syscall=execve tty=pts0 exe=/usr/bin/bash audit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ev := join(t, tt.record, tt.list...)
			if diff := cmp.Diff(tt.want, told(ev)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if string(ev.Comm) != "sh" || string(ev.Path) != "/tmp/x" || ev.PID != 191 {
				t.Errorf("the record itself has changed: %s %s %d", ev.Comm, ev.Path, ev.PID)
			}
		})
	}
}

func TestJoinDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var d Decoder
	var ev Event
	texts := []joined{
		{TypeSyscall, denied}, {TypeExecve, companionStamp + `argc=2 a0="sh" a1=612062`}, {TypeProctitle, companionStamp + "proctitle=7368002D63"}, {TypeEOE, companionStamp},
	}
	record := []byte(judged)
	list := make([][]byte, len(texts))
	for i := range texts {
		list[i] = []byte(texts[i].text)
	}
	n := testing.AllocsPerRun(100, func() {
		d.Decode(&ev, TypeAccess, record)
		for i := range list {
			d.Join(&ev, texts[i].typ, list[i])
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestJoinKeepsWhatWasDecoded joins companions that need more scratch space than
// the record did.
func TestJoinKeepsWhatWasDecoded(t *testing.T) {
	t.Parallel()
	record := strings.Replace(judged, `path="/tmp/x"`, "path=2F746D702F7820", 1)
	ev := join(t, record, joined{TypeProctitle, companionStamp + "proctitle=" + strings.Repeat("6100", 9000)}, joined{TypeSyscall, strings.Replace(denied, `exe="/usr/bin/bash"`, "exe=2F61", 1)})
	if string(ev.Path) != "/tmp/x " || string(ev.Exe) != "/a" || string(ev.Proctitle) != strings.TrimSuffix(strings.Repeat("a ", 9000), " ") {
		t.Errorf("got %q %q, and %d bytes of the command line", ev.Path, ev.Exe, len(ev.Proctitle))
	}
}

func FuzzJoin(f *testing.F) {
	f.Add(uint16(TypeSyscall), []byte(denied))
	f.Add(uint16(TypeExecve), []byte(companionStamp+`argc=3 a0="x" a1=612062`))
	f.Add(uint16(TypeProctitle), []byte(companionStamp+"proctitle=7368002D63"))
	f.Fuzz(func(t *testing.T, typ uint16, text []byte) {
		var d Decoder
		var ev Event
		d.Decode(&ev, TypeAccess, []byte(judged))
		said := d.Join(&ev, typ, text)
		if said != (ev.Context == ContextAudit) || !said && ev.CallerKnown() {
			t.Errorf("said %v, and the event has %s", said, told(&ev))
		}
		if string(ev.Path) != "/tmp/x" || ev.PID != 191 {
			t.Error("the record itself has changed")
		}
	})
}
