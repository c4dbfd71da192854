package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// journalFields reads a datagram as journald does: name=value up to the newline,
// or name, newline, length, value, newline.
func journalFields(b []byte) ([]string, error) {
	var fields []string
	for len(b) > 0 {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("no newline behind %q", line)
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			if len(rest) < 8 {
				return nil, fmt.Errorf("no length behind %q", name)
			}
			n := binary.LittleEndian.Uint64(rest)
			if n >= uint64(len(rest)-8) || rest[8+n] != '\n' {
				return nil, fmt.Errorf("length %d of %q does not end at a newline", n, name)
			}
			value, rest = rest[8:8+n], rest[8+n+1:]
		}
		if !regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`).Match(name) {
			return nil, fmt.Errorf("name %q is not one for journald", name)
		}
		fields = append(fields, fmt.Sprintf("%s=%s", name, value))
		b = rest
	}
	return fields, nil
}

func TestAppendJournal(t *testing.T) {
	t.Parallel()
	h := hostile()
	tests := []struct {
		name string
		ev   *ipe.Event
		want []string
	}{
		{"failed load", failedLoad(), []string{
			"MESSAGE=POLICY LOAD FAILED: EBADMSG (not a signed policy, or a mistake in its text), errno=-74 auid=1000 ses=2",
			"PRIORITY=4", "SYSLOG_IDENTIFIER=ipe-auditd", "MESSAGE_ID=87bd057bd075e8bea38ca0bf686eb0f9",
			"IPE_SPOOL=4f3a9c21d06b7e58", "IPE_SEQ=12345", "IPE_TIME=2026-11-23T14:37:03.360Z", "IPE_SERIAL=27", "IPE_TYPE=1422",
			"IPE_EVENT=policy_load", "IPE_DIALECT=mainline", "IPE_AUID=1000", "IPE_SES=2", "IPE_LSM=ipe", "IPE_RES=false",
			"ERRNO=74", "IPE_ERROR=EBADMSG", "IPE_HOST=node7", "IPE_BOOT_ID=0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7",
		}},
		{"hostile", h, []string{
			`MESSAGE=ALLOWED EXECUTE BPRM_CHECK "/tmp/\"x\\ ]\x1b[2J\xff\u0085\u202e\u2028` + "\ufffd\U0001f600" + ` (deleted)" comm="a\nb\x00c"` +
				` pid=2204 dev=vda2 ino=1024 k="v 1" k=2\xff k\n= k_hex=00 rule: op=EXECUTE dmverity_roothash="sha256":26C6 action=ALLOW`,
			"PRIORITY=6", "SYSLOG_IDENTIFIER=ipe-auditd", "MESSAGE_ID=19fc762b0ed393ce9525d0d3b41be070",
			"IPE_SPOOL=4f3a9c21d06b7e58", "IPE_SEQ=12345", "IPE_TIME=2026-11-23T13:35:56.605Z", "IPE_SERIAL=590", "IPE_TYPE=1420",
			"IPE_EVENT=access", "IPE_DIALECT=mainline", "IPE_VERDICT=allowed", "IPE_OP=EXECUTE", "IPE_HOOK=BPRM_CHECK",
			"IPE_COMM=" + string(h.Comm), "IPE_PATH=" + string(h.Path), "IPE_DEV=vda2", "IPE_RULE=" + string(h.Rule),
			"IPE_ENFORCING=true", "IPE_PID=2204", "IPE_INO=1024", "IPE_RULE_KIND=rule", "IPE_ACTION=ALLOW",
			"IPE_RULE_PROPERTIES=intended_pathname=/a\xfeb x=\a", "IPE_EXTRA=k=\"v 1\" k=2\xff k\n= k_hex=00",
			"IPE_HOST=node7", "IPE_BOOT_ID=0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := journalFields(AppendJournal(nil, tt.ev, inSpool()))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestMessageIDsAreOfTheirKindOnly(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`^[0-9a-f]{32}$`)
	seen := map[string]ipe.Kind{}
	for k := ipe.Kind(0); k.String() != ""; k++ {
		s := MessageID(k)
		if !id.MatchString(s) {
			t.Errorf("%v: %q is no id", k, s)
		}
		if other, ok := seen[s]; ok {
			t.Errorf("%v and %v have the same id", k, other)
		}
		seen[s] = k
	}
	if s := MessageID(255); s != "" {
		t.Errorf("an undefined kind has the id %q", s)
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	switchedOn, toUnknown, wouldDeny := switchedOff(), switchedOff(), denied()
	switchedOn.Enforcing, toUnknown.Enforcing, wouldDeny.Verdict = ipe.True, ipe.Unknown, ipe.VerdictWouldDeny
	tests := []struct {
		name string
		ev   *ipe.Event
		want int
	}{
		{"switched off", switchedOff(), 1},
		{"switched to unknown", toUnknown, 1},
		{"forged", forged(), 2},
		{"repeated", repeated(), 3},
		{"denied", denied(), 3},
		{"lost", lost(), 3},
		{"would deny", wouldDeny, 4},
		{"unknown", anonymous(), 4},
		{"failed load", failedLoad(), 4},
		{"unparsed", unparsed(), 4},
		{"loaded", loaded(), 5},
		{"activated", activated(), 5},
		{"switched on", switchedOn, 5},
		{"stopped", stopped(), 5},
		{"allowed", explicit(), 6},
		{"started", started(), 6},
	}
	for _, tt := range tests {
		if got := Severity(tt.ev); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestJournalKnowsWhoAsked has the fields that journalctl selects by.
func TestJournalKnowsWhoAsked(t *testing.T) {
	t.Parallel()
	objects := func(ev *ipe.Event) (list []string) {
		fields, err := journalFields(AppendJournal(nil, ev, new(Context)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			if bytes.HasPrefix([]byte(f), []byte("OBJECT_")) {
				list = append(list, f)
			}
		}
		return list
	}
	who := []string{"OBJECT_UID=33", "OBJECT_AUDIT_LOGINUID=1000", "OBJECT_AUDIT_SESSION=4", "OBJECT_EXE=/usr/bin/bash", "OBJECT_CMDLINE=sh -c tool \xff"}
	where := []string{"OBJECT_SYSTEMD_CGROUP=/system.slice/nginx.service", "OBJECT_SYSTEMD_UNIT=nginx.service", "OBJECT_SYSTEMD_USER_UNIT=app.service"}
	ev := byService()
	if diff := cmp.Diff(append(who, where...), objects(ev)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	ev.Context = ipe.ContextAudit | ipe.ContextParent
	if diff := cmp.Diff(who, objects(ev)); diff != "" {
		t.Errorf("of the parent (-want +got):\n%s", diff)
	}
	ev.Exe, ev.Proctitle = nil, []byte("a\nOBJECT_UID=0")
	if got := objects(ev); len(got) != 4 || got[3] != "OBJECT_CMDLINE=a\nOBJECT_UID=0" {
		t.Errorf("a newline makes %q", got)
	}
	if got := objects(denied()); got != nil {
		t.Errorf("nothing is known, and there are %q", got)
	}
}
