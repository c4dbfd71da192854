package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// line is an event and its identity.
type eventLine struct {
	ipe.Event
	Identity
}

// write returns the JSON line of l, with the record text if there is one.
func (l *eventLine) write() []byte {
	return AppendJSON(nil, &l.Event, &Context{Identity: l.Identity, Raw: l.Raw != nil})
}

// read reads a line.
func (l *eventLine) read(line []byte) error {
	var p Parser
	return p.Parse(&l.Event, &l.Identity, line)
}

// everything returns a line with every key of the table and the kind. There is no
// such event.
func everything(t testing.TB, k ipe.Kind) []byte {
	words := map[string]string{
		"spool": "5f1c9a0277d8e3b4", "time": "2026-11-23T13:31:41.244Z", "event": k.String(), "dialect": "rfc",
		"verdict": "unknown", "rule_kind": "op_default", "action": "DENY", "error": "EBADMSG", "accuracy": "at_least",
		"since": "2026-11-23T13:31:41.245Z", "until": "2026-11-23T13:31:41.246Z",
	}
	var b []byte
	for i, key := range Keys() {
		b = append(b, ",\""+key.Name+"\":"...)
		odd := key.Name + ` \"\\\u001b` + "\ufffd" + `\u2028é`
		hex := fmt.Sprintf("%X", key.Name+" \"\\\x1b\xff\u2028é")
		switch key.Type {
		case TypeWord:
			if words[key.Name] == "" {
				t.Fatalf("no value for %s: give it one here", key.Name)
			}
			b = append(b, `"`+words[key.Name]+`"`...)
		case TypeString:
			b = append(b, `"`+odd+`","`+key.Name+`_hex":"`+hex+`"`...)
		case TypeNumber:
			n := i + 1
			if key.Name == "errno" {
				n = -74
			}
			b = fmt.Append(b, n)
		case TypeBoolean:
			b = append(b, "true"...)
		case TypeStrings:
			b = append(b, `["`+odd+`","b",""],"`+key.Name+`_hex":["`+hex+`","62",""]`...)
		case TypeWords:
			b = append(b, `["audit","proc","parent","off"]`...)
		case TypeObject:
			b = append(b, `{"a":"1","b":"`+odd+`","b_hex":"`+hex+`","a#3":"2","#230A":"","#5F686578":"","#230A#6":"3"}`...)
		}
	}
	b[0] = '{'
	return append(b, "}\n"...)
}

// TestEveryKeyIsReadBack reads every key of the table, and writes what was read:
// a key that is not read, not written or in another place is missed then.
func TestEveryKeyIsReadBack(t *testing.T) {
	t.Parallel()
	for k := ipe.Kind(0); k.String() != ""; k++ {
		line := everything(t, k)
		var l eventLine
		if err := l.read(line); err != nil {
			t.Fatalf("%v: %v", k, err)
		}
		missing := []string{}
		for _, key := range Keys() {
			if !key.In.Has(k) {
				missing = append(missing, key.Name)
			}
		}
		want := without(t, line, missing)
		if diff := cmp.Diff(want, string(l.write())); diff != "" {
			t.Errorf("%v (-read +written):\n%s", k, diff)
		}
	}
}

// without returns a line without some of its members.
func without(t *testing.T, line []byte, names []string) string {
	t.Helper()
	var p Parser
	p.scratch = make([]byte, 0, len(line))
	var b strings.Builder
	sep := "{"
	for key, value := range p.members(line, new(bool)) {
		name := strings.TrimSuffix(string(key), "_hex")
		if !contains(names, name) {
			fmt.Fprintf(&b, "%s%q:%s", sep, key, value)
			sep = ","
		}
	}
	return b.String() + "}\n"
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// TestEventsHaveOnlyKeysOfTheirKind compares events with the table.
func TestEventsHaveOnlyKeysOfTheirKind(t *testing.T) {
	t.Parallel()
	for name, ev := range all() {
		c := inSpool()
		c.Raw = true
		members, err := parse(AppendJSON(nil, ev, c))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			i, _ := find([]byte(m.name), 0)
			if i < 0 || !keys[i].In.Has(ev.Kind) {
				t.Errorf("%s: the table does not have %s for a %v", name, m.name, ev.Kind)
			}
		}
	}
}

func TestLinesThatAreNoEvents(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]error{
		`{"spool":"5f1c9a0277d8e3b4","seq":1,"ev`:                ErrUnreadable,
		`{"event":"access"`:                                      ErrUnreadable,
		`{"event":"access"}}`:                                    ErrUnreadable,
		`{"event":"of a later release"}`:                         ErrUnreadable,
		`{"event":7}`:                                            ErrUnreadable,
		`{"event":"lost","pid":"7"}`:                             ErrUnreadable,
		`{"event":"lost","pid":-7}`:                              ErrUnreadable,
		`{"event":"lost","path":null}`:                           ErrUnreadable,
		`{"event":"lost","path_hex":"0"}`:                        ErrUnreadable,
		`{"event":"lost","enforcing":1}`:                         ErrUnreadable,
		`{"event":"lost","rule_properties":"a"}`:                 ErrUnreadable,
		`{"event":"lost","spool":"5F1C9A02","seq":1}`:            ErrUnreadable,
		`{"event":"access"}`:                                     ErrUnreadable,
		`{"event":"access","action":"DENY"}`:                     ErrUnreadable,
		`{"event":"repeated","count":3}`:                         ErrUnreadable,
		`{"event":"access","verdict":"allowed","action":"DENY"}`: ErrUnreadable,
		`{"event":"access","verdict":"denied","action":"ALLOW"}`: ErrUnreadable,
		`{"event":"access","verdict":"denied"}`:                  nil,
		`{"level":"info"}`:                                       ErrForeign,
		`["event"]`:                                              ErrForeign,
		`"event"`:                                                ErrForeign,
		`{}`:                                                     ErrForeign,
		` { "event" : "stopped" , "newer" : [ { } , 1 ] } `:      nil,
		`{"event":"stopped","extra":{"a":"}"},"n":-1e9}`:         nil,
		`{"event":"access","event":"lost"}`:                      nil,
	} {
		var l eventLine
		if err := l.read(everything(t, ipe.KindAccess)); err != nil {
			t.Fatal(err)
		}
		if err := l.read([]byte(line)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", line, err, want)
		}
		if want != nil && !cmp.Equal(l, eventLine{}, cmpopts.EquateEmpty()) {
			t.Errorf("%s left %+v", line, l)
		}
	}
}

// FuzzParse holds the scanner to encoding/json, and what was understood to what
// it is written as.
func FuzzParse(f *testing.F) {
	for k := ipe.Kind(0); k.String() != ""; k++ {
		f.Add(everything(f, k))
	}
	f.Add([]byte(`{"event":"access","\u0070ath":"a\ud800\n","x":[[],{"a":[1,-2.5e3,true,null]}]}`))
	f.Add([]byte(`{"event":"stopped","time":"+12345-01-02T03:04:05.678Z","extra":{"a_hex":"41","a#1#1":"","#":""}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var l eventLine
		err := l.read(line)
		if valid := json.Valid(line); !valid && !errors.Is(err, ErrUnreadable) {
			t.Fatalf("%q: %v, but encoding/json does not take it", line, err)
		} else if s := (scanner{text: line}); valid != (s.value(0) != nil && s.end()) {
			t.Fatalf("%q is valid to encoding/json: %v", line, valid)
		}
		if err != nil && !errors.Is(err, ErrForeign) {
			return
		}
		checkScan(t, line)
		again := bytes.Clone(l.write())
		var second eventLine
		if err := second.read(again); err != nil {
			t.Fatalf("wrote %s: %v", again, err)
		}
		if twice := second.write(); !bytes.Equal(again, twice) {
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
	p := Parser{scratch: make([]byte, 0, len(line))}
	for key, value := range p.members(line, new(bool)) {
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
	f.Add(uint16(1420), []byte("audit(99999999999999.000:2): ipe_op=EXECUTE rule=\"DEFAULT action=DENY\" a=1 b\xff=2 a=\xfe #=3 x_hex=4"))
	f.Fuzz(func(t *testing.T, typ uint16, text []byte) {
		var d ipe.Decoder
		var l eventLine
		if d.Decode(&l.Event, typ, text) != ipe.ClassIPE {
			return
		}
		line := l.write()
		var back eventLine
		if err := back.read(line); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if again := back.write(); !bytes.Equal(line, again) {
			t.Fatalf("once  %s\ntwice %s", line, again)
		}
		if diff := cmp.Diff(l.Event, back.Event, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-record +JSON):\n%s", line, diff)
		}
	})
}

// TestParseDoesNotAllocate reads what events of a host look like.
func TestParseDoesNotAllocate(t *testing.T) {
	for name, ev := range all() {
		line := AppendJSON(nil, ev, inSpool())
		var p Parser
		var l eventLine
		n := testing.AllocsPerRun(100, func() {
			if err := p.Parse(&l.Event, &l.Identity, line); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		})
		if n != 0 && !raceEnabled {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for name, ev := range map[string]*ipe.Event{"ordinary": denied(), "escapes": explicit(), "started": started()} {
		b.Run(name, func(b *testing.B) {
			line := AppendJSON(nil, ev, inSpool())
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			var p Parser
			var l eventLine
			for b.Loop() {
				if err := p.Parse(&l.Event, &l.Identity, line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
