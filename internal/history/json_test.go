package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// write returns the JSON line of ev.
func write(ev *Event) []byte {
	return format.AppendJSON(nil, &ev.Event, &format.Context{
		Spool: uint64(ev.At.ID), Seq: ev.At.Seq, Host: string(ev.Host), BootID: string(ev.BootID), Raw: ev.Kind.FromKernel(),
	})
}

// everything has a value in each of its fields. There is no such event.
func everything(k ipe.Kind) *Event {
	text := func(s string) []byte { return []byte(s + " \"\\\x1b\xff\u2028é") }
	policy := func(s string) ipe.Policy {
		return ipe.Policy{Name: text(s + "n"), Version: text(s + "v"), Digest: text(s + "d")}
	}
	return &Event{
		At:   spool.Cursor{ID: 0x5f1c9a0277d8e3b4, Seq: 7},
		Host: []byte("web1"), BootID: []byte("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
		Event: ipe.Event{
			Kind: k, Dialect: ipe.DialectRFC, Type: 1420, Has: ^ipe.Has(0), Time: 1795440701244, Serial: 47,
			Verdict: ipe.VerdictUnknown, Op: text("op"), Hook: text("hook"), Comm: text("comm"), Path: text("path"), Dev: text("dev"),
			Rule: text("rule"), PID: 1<<64 - 1, Ino: 3, RuleKind: ipe.RuleExplicit, Action: ipe.ActionDeny,
			RuleProperties: [][]byte{text("a"), []byte("b"), {}}, Enforcing: ipe.True, OldEnforcing: ipe.False,
			ActivePolicy: policy("active"), Policy: policy("new"), OldPolicy: policy("old"),
			AUID: 1, UID: 2, SES: 1<<32 - 2, LSM: text("lsm"), Res: ipe.False, Errno: -74, Raw: text("raw"),
			Count: 9, Accuracy: ipe.AccuracyAtLeast, Stage: text("stage"), Since: 1795440701245, Until: 1795440701246, FirstSeq: 4, LastSeq: 5,
			Version: text("version"), Kernel: text("kernel"), IPEStatus: text("status"), SuccessAudit: ipe.True, PIDs: 3, Comms: 2,
		},
	}
}

// TestEveryKeyIsReadBack writes what was read once more: a key that is not read
// is missing then.
func TestEveryKeyIsReadBack(t *testing.T) {
	t.Parallel()
	for k := ipe.Kind(0); k.String() != ""; k++ {
		line := write(everything(k))
		var ev Event
		if err := parse(&ev, line); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		if diff := cmp.Diff(string(line), string(write(&ev))); diff != "" {
			t.Errorf("%v (-written +read and written):\n%s", k, diff)
		}
	}
}

func TestLinesThatAreNoEvents(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]error{
		`{"spool":"5f1c9a0277d8e3b4","seq":1,"ev`:                errUnreadable,
		`{"event":"access"`:                                      errUnreadable,
		`{"event":"access"}}`:                                    errUnreadable,
		`{"event":"of a later release"}`:                         errUnreadable,
		`{"event":7}`:                                            errUnreadable,
		`{"event":"lost","pid":"7"}`:                             errUnreadable,
		`{"event":"lost","pid":-7}`:                              errUnreadable,
		`{"event":"lost","path":null}`:                           errUnreadable,
		`{"event":"lost","path_hex":"0"}`:                        errUnreadable,
		`{"event":"lost","enforcing":1}`:                         errUnreadable,
		`{"event":"lost","rule_properties":"a"}`:                 errUnreadable,
		`{"event":"lost","spool":"5F1C9A02","seq":1}`:            errUnreadable,
		`{"event":"access"}`:                                     errUnreadable,
		`{"event":"access","action":"DENY"}`:                     errUnreadable,
		`{"event":"repeated","count":3}`:                         errUnreadable,
		`{"event":"access","verdict":"allowed","action":"DENY"}`: errUnreadable,
		`{"event":"access","verdict":"denied","action":"ALLOW"}`: errUnreadable,
		`{"event":"access","verdict":"denied"}`:                  nil,
		`{"level":"info"}`:                                       errForeign,
		`["event"]`:                                              errForeign,
		`"event"`:                                                errForeign,
		`{}`:                                                     errForeign,
		` { "event" : "stopped" , "new" : [ { } , 1 ] } `:        nil,
		`{"event":"stopped","extra":{"a":"}"},"n":-1e9}`:         nil,
		`{"event":"access","event":"lost"}`:                      nil,
	} {
		ev := *everything(ipe.KindAccess)
		if err := parse(&ev, []byte(line)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", line, err, want)
		}
		if want == errUnreadable && !cmp.Equal(ev.Event, ipe.Event{RuleProperties: [][]byte{}}) {
			t.Errorf("%s left %+v", line, ev)
		}
	}
}

// FuzzParse holds the scanner to encoding/json, and what was understood to what
// it is written as.
func FuzzParse(f *testing.F) {
	for k := ipe.Kind(0); k.String() != ""; k++ {
		f.Add(write(everything(k)))
	}
	f.Add([]byte(`{"event":"access","\u0070ath":"a\ud800\n","x":[[],{"a":[1,-2.5e3,true,null]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var ev Event
		if err := parse(&ev, line); err != nil && !errors.Is(err, errForeign) {
			return
		}
		checkScan(t, line)
		again := bytes.Clone(write(&ev))
		var second Event
		if err := parse(&second, again); err != nil {
			t.Fatalf("wrote %s: %v", again, err)
		}
		if twice := write(&second); !bytes.Equal(again, twice) {
			t.Fatalf("once %s\ntwice %s", again, twice)
		}
	})
}

// checkScan compares the members of an object with what encoding/json finds.
func checkScan(t *testing.T, line []byte) {
	var want map[string]json.RawMessage
	if json.Unmarshal(line, &want) != nil || !utf8.Valid(line) {
		return // no object, or one whose keys encoding/json changes
	}
	got := map[string]json.RawMessage{}
	for key, value := range members(line) {
		got[string(key)] = bytes.Clone(value)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s: (-encoding/json +members):\n%s", line, diff)
	}
}

// FuzzRecordsSurviveJSON takes records of the kernel through JSON and back.
func FuzzRecordsSurviveJSON(f *testing.F) {
	f.Add(uint16(1420), []byte(`audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="labtool" path=2FFF00 dev="tmpfs" ino=2 rule="op=EXECUTE dmverity_roothash="sha256":26C6 action=DENY"`))
	f.Add(uint16(1422), []byte("audit(1.000:2): policy_name=\"we\"ird\x1b\" policy_version=1.0.0 policy_digest=sha256:61 auid=1 ses=2 lsm=ipe res=0 errno=-74"))
	f.Add(uint16(1420), []byte(`audit(1.000:2): ipe_op=`))
	f.Add(uint16(0), []byte(`event="lost" time=1795440104000 count=7 accuracy="exact" stage="socket" since=1 until=2 first_seq=3 last_seq=4`))
	f.Fuzz(func(t *testing.T, typ uint16, text []byte) {
		var d ipe.Decoder
		var ev Event
		if d.Decode(&ev.Event, typ, text) != ipe.ClassIPE {
			return
		}
		const year10000 = 253402300800000
		for _, ms := range []int64{ev.Time, ev.Since, ev.Until} {
			if ms < 0 || ms >= year10000 {
				return // is written as no JSON reader would expect it
			}
		}
		ev.Extra = nil
		line := write(&ev)
		var back Event
		if err := parse(&back, line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if again := write(&back); !bytes.Equal(line, again) {
			t.Fatalf("once  %s\ntwice %s", line, again)
		}
	})
}
