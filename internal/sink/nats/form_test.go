package nats

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ subject, pattern, own, wrong string }{
		{subject: "ipe.{host}.{event}", pattern: "ipe.*.*", own: "ipe.>"},
		{subject: "audit", pattern: "audit", own: "audit"},
		{subject: "a.b-{verdict}x.c", pattern: "a.*.c", own: "a.>"},
		{subject: "{host}.ipe", pattern: "*.ipe", own: ""},
		{subject: "", wrong: "no subject"},
		{subject: "ipe..x", wrong: "empty part"},
		{subject: "ipe.", wrong: "empty part"},
		{subject: "ipe.{hots}", wrong: `did you mean "host"`},
		{subject: "ipe.{host", wrong: "unknown placeholder"},
		{subject: "ipe.*", wrong: "something else"},
		{subject: "ipe.>", wrong: "something else"},
		{subject: "ipe x", wrong: "something else"},
		{subject: "ipe.}", wrong: "something else"},
		{subject: "ipé", wrong: "something else"},
		{subject: "$JS.API", wrong: "the server's own"},
		{subject: strings.Repeat("x", 201), wrong: "200 bytes"},
	} {
		parts, err := parseSubject(tt.subject)
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q: got %v, want %q", tt.subject, err, tt.wrong)
			}
			continue
		}
		if err != nil || pattern(parts) != tt.pattern || ownSubject(parts) != tt.own {
			t.Errorf("%q: got %q and %q, %v", tt.subject, pattern(parts), ownSubject(parts), err)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		subject, pattern string
		want             bool
	}{
		{"ipe.>", "ipe.*.*", true}, {"ipe.*.*", "ipe.*.*", true}, {">", "ipe.*", true},
		{"ipe.*", "ipe.*.*", false}, {"ipe.>", "ipe", false}, {"ipe.a.*", "ipe.*.*", false}, {"ipe.*.*", "ipe.a", false},
	} {
		if got := covers(tt.subject, tt.pattern); got != tt.want {
			t.Errorf("%s of %s: %v", tt.subject, tt.pattern, got)
		}
	}
}

func long() (line string, ev *ipe.Event) {
	ev = &ipe.Event{
		Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Op: []byte("EXECUTE"),
		Path: []byte(strings.Repeat(`/a"\,{[`, 100)), Rule: []byte(strings.Repeat("r", 300)),
		RuleProperties: [][]byte{[]byte("a=b,c"), []byte("d=}")},
		Extra:          []ipe.KeyValue{{Key: []byte("k"), Value: []byte(`,"x":{`)}},
	}
	c := &format.Context{Identity: format.Identity{Spool: 7, Seq: 8, Host: []byte("web1")}}
	return strings.TrimSuffix(string(format.AppendJSON(nil, ev, c)), "\n"), ev
}

// What is left is whole: no value is cut, and what says which event it is stays.
func TestShortenLeavesOutTheLongest(t *testing.T) {
	t.Parallel()
	line, _ := long()
	var whole map[string]any
	if err := json.Unmarshal([]byte(line), &whole); err != nil {
		t.Fatal(err)
	}
	fits := false
	for limit := range len(line) + 50 {
		got, ok := shorten([]byte("before"), []byte(line), limit)
		if !ok {
			if fits {
				t.Fatalf("%d bytes do not suffice, but fewer did", limit)
			}
			continue
		}
		fits = true
		var short map[string]any
		if err := json.Unmarshal(got[len("before"):], &short); err != nil || len(got)-len("before") > limit {
			t.Fatalf("%d: %s, %v", limit, got, err)
		}
		for _, key := range []string{"spool", "seq", "event", "verdict", "host"} {
			if short[key] != whole[key] {
				t.Errorf("%d: %s is %v", limit, key, short[key])
			}
		}
		_, mark, _ := strings.Cut(string(got), `,"shortened":`)
		n := int(short["shortened"].(float64))
		if left := len(got) - len("before") - len(`,"shortened":`) - len(mark) + len("}"); left+n != len(line) {
			t.Errorf("%d: %d bytes are left, %d said to be missing, of %d", limit, left, n, len(line))
		}
	}
	if !fits {
		t.Error("never")
	}
}

func FuzzShorten(f *testing.F) {
	line, _ := long()
	f.Add([]byte(line), 100)
	f.Add([]byte(`{"a":"\"`), 5)
	f.Fuzz(func(t *testing.T, line []byte, limit int) {
		got, ok := shorten(nil, line, limit)
		if ok && json.Valid(line) && len(line) > 2 && line[1] == '"' && !json.Valid(got) {
			t.Errorf("%q became %q", line, got)
		}
		if ok && len(got) > limit {
			t.Errorf("%d bytes, want at most %d", len(got), limit)
		}
	})
}

func TestFormDoesNotAllocate(t *testing.T) {
	_, ev := long()
	f, err := Form("ipe.{host}.{event}", format.AppendJSON)
	if err != nil {
		t.Fatal(err)
	}
	c := &format.Context{Identity: format.Identity{Spool: 7, Seq: 8, Host: []byte("web 1")}}
	buf := make([]byte, 0, 16384)
	buf = f(buf[:0], ev, c)
	subject, id, payload, err := split(buf)
	if string(subject) != "ipe.web_1.access" || string(id) != "0000000000000007:8" || payload[len(payload)-1] != '}' || err != nil {
		t.Errorf("got %s, %v", buf, err)
	}
	if n := testing.AllocsPerRun(100, func() { buf = f(buf[:0], ev, c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
