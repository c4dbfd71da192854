package match

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// denied is a denied access to path; nil for anonymous memory.
func denied(path []byte) *ipe.Event {
	return &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied,
		Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Path: path}
}

func TestMatchSelectsEvents(t *testing.T) {
	t.Parallel()
	build := &Selection{Paths: []string{"/tmp/build/**"}}
	var (
		buildFile = denied([]byte("/tmp/build/a"))
		sshFile   = denied([]byte("/usr/bin/ssh"))
		anonymous = denied(nil)
		allowed   = &ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictAllowed,
			Op: []byte("KMODULE"), Hook: []byte("KERNEL_READ"), Path: []byte("/m.ko")}
		load     = &ipe.Event{Kind: ipe.KindPolicyLoad}
		unparsed = &ipe.Event{Kind: ipe.KindUnparsed}
		lost     = &ipe.Event{Kind: ipe.KindLost}
	)
	tests := []struct {
		name string
		in   []Selection
		want []*ipe.Event
		not  []*ipe.Event
	}{
		{name: "the empty list matches everything",
			want: []*ipe.Event{sshFile, anonymous, allowed, load, unparsed, lost}},
		{name: "any value of a key is enough",
			in:   []Selection{{Verdicts: []string{"allowed", "denied"}}},
			want: []*ipe.Event{sshFile, allowed}},
		{name: "all keys must hold",
			in:  []Selection{{Verdicts: []string{"denied"}, Ops: []string{"KMODULE"}}},
			not: []*ipe.Event{sshFile, allowed}},
		{name: "one selection of a list is enough",
			in:   []Selection{{Verdicts: []string{"denied"}}, {Ops: []string{"KMODULE"}}},
			want: []*ipe.Event{sshFile, allowed}, not: []*ipe.Event{load}},
		{name: "without the field there is no match",
			in:   []Selection{{Verdicts: []string{"denied", "would_deny", "allowed", "unknown"}}, {Paths: []string{"**"}}, {Hooks: []string{"MMAP"}}},
			want: []*ipe.Event{sshFile, anonymous, allowed}, not: []*ipe.Event{load, unparsed, lost}},
		{name: "anonymous memory has no path",
			in:   []Selection{{Paths: []string{"**"}}},
			want: []*ipe.Event{sshFile}, not: []*ipe.Event{anonymous}},
		{name: "not takes away",
			in:   []Selection{{Verdicts: []string{"denied"}, Not: build}},
			want: []*ipe.Event{sshFile, anonymous}, not: []*ipe.Event{buildFile, allowed, load}},
		{name: "all keys inside not must hold together",
			in:   []Selection{{Not: &Selection{Verdicts: []string{"denied"}, Ops: []string{"KMODULE"}}}},
			want: []*ipe.Event{sshFile, allowed, load}},
		{name: "a not inside not gives back",
			in:   []Selection{{Not: &Selection{Ops: []string{"EXECUTE"}, Not: build}}},
			want: []*ipe.Event{buildFile, allowed}, not: []*ipe.Event{sshFile}},
		{name: "the daemon's events are no accesses",
			in:   []Selection{{Not: &Selection{Events: []string{"access"}}}},
			want: []*ipe.Event{load, unparsed, lost}, not: []*ipe.Event{sshFile}},
		{name: "the daemon's events by name",
			in:   []Selection{{Events: []string{"lost", "policy_load"}, Not: build}},
			want: []*ipe.Event{lost, load}, not: []*ipe.Event{sshFile, unparsed}},
		{name: "an operation that is not known yet",
			in:   []Selection{{Ops: []string{"KMODULE", "BPF_PROGRAM"}}},
			want: []*ipe.Event{{Kind: ipe.KindAccess, Op: []byte("BPF_PROGRAM")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Compile(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range tt.want {
				if !m.Match(ev) {
					t.Errorf("%v %v %q: got no match, want one", ev.Kind, ev.Verdict, ev.Path)
				}
			}
			for _, ev := range tt.not {
				if m.Match(ev) {
					t.Errorf("%v %v %q: got a match, want none", ev.Kind, ev.Verdict, ev.Path)
				}
			}
		})
	}
}

func TestNilMatcherMatchesEverything(t *testing.T) {
	t.Parallel()
	var m *Matcher
	if !m.Match(&ipe.Event{Kind: ipe.KindLost}) || !m.Reaches(ipe.KindLost) {
		t.Error("the nil Matcher does not match")
	}
}

func TestCompileNamesTheBadValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   Selection
		key  string
		want string // part of the error
	}{
		{"mistyped event", Selection{Events: []string{"acess"}}, "events", `"acess": unknown; did you mean "access"?`},
		{"unknown event", Selection{Events: []string{"reboot"}}, "events", "known here: unparsed, access, policy_load"},
		{"verdict in upper case", Selection{Verdicts: []string{"DENIED"}}, "verdicts", `did you mean "denied"?`},
		{"verdict none", Selection{Verdicts: []string{""}}, "verdicts", "known here: denied, would_deny"},
		{"operation in lower case", Selection{Ops: []string{"execute"}}, "ops", `did you mean "EXECUTE"?`},
		{"empty hook", Selection{Hooks: []string{""}}, "hooks", "known here"},
		{"empty list", Selection{Events: []string{}}, "events", "empty list"},
		{"empty list of paths", Selection{Paths: []string{}}, "paths", "empty list"},
		{"no key", Selection{}, "", "none of the keys"},
		{"no key in not", Selection{Not: &Selection{}}, "not", "none of the keys"},
		{"bad value in not in not", Selection{Not: &Selection{Not: &Selection{Hooks: []string{"mmap"}}}}, "not.not.hooks", `did you mean "MMAP"?`},
		{"field that the events do not have", Selection{Events: []string{"lost"}, Paths: []string{"/a"}}, "events", "only access has"},
		{"field that no event inside not has", Selection{Not: &Selection{Events: []string{"lost"}, Ops: []string{"POLICY"}}}, "not.events", "only access has"},
		{"not takes everything", Selection{Events: []string{"lost"}, Not: &Selection{Events: []string{"lost", "forged"}}}, "not", "takes away everything"},
		{"relative path", Selection{Paths: []string{"*.so"}}, "paths", `did you mean "**/*.so"?`},
		{"directory", Selection{Paths: []string{"/tmp/"}}, "paths", `did you mean "/tmp/**"?`},
		{"two slashes", Selection{Paths: []string{"/tmp//a"}}, "paths", "two slashes"},
		{"part of a component", Selection{Paths: []string{"/tmp/**.so"}}, "paths", "must stand alone"},
		{"braces", Selection{Paths: []string{"/{a,b}/c"}}, "paths", `write \{`},
		{"open set", Selection{Paths: []string{"/[ab"}}, "paths", "[ without ]"},
		{"set with escape at the end", Selection{Paths: []string{`/[a\`}}, "paths", "[ without ]"},
		{"empty set", Selection{Paths: []string{"/[]"}}, "paths", "empty set"},
		{"backward range", Selection{Paths: []string{"/[z-a]"}}, "paths", "range z-a"},
		{"escape at the end", Selection{Paths: []string{`/a\`}}, "paths", "nothing to escape"},
		{"empty glob", Selection{Paths: []string{""}}, "paths", "empty glob"},
		{"NUL", Selection{Paths: []string{"/a\x00"}}, "paths", "NUL"},
		{"not UTF-8", Selection{Paths: []string{"/\xff"}}, "paths", "UTF-8"},
		{"long glob", Selection{Paths: []string{"/" + strings.Repeat("a", maxGlob)}}, "paths", "longer than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Compile([]Selection{{Verdicts: []string{"denied"}}, tt.in})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an Error", err)
			}
			if e.Index != 1 || e.Key != tt.key {
				t.Errorf("got index %d, key %q, want 1, %q", e.Index, e.Key, tt.key)
			}
			if got := err.Error(); !strings.HasPrefix(got, "match 2: ") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want it to say %q", got, tt.want)
			}
		})
	}
}

func TestCompileTakesWordsOfNewerKernels(t *testing.T) {
	t.Parallel()
	m, err := Compile([]Selection{{Ops: []string{"NEWER"}}})
	if err != nil || !m.Match(&ipe.Event{Kind: ipe.KindAccess, Op: []byte("NEWER")}) {
		t.Errorf("an operation of a newer kernel is not matched: %v", err)
	}
}

func TestReachesSaysWhichKindsCanMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   Selection
		want []ipe.Kind
		not  []ipe.Kind
	}{
		{"no events key", Selection{Not: &Selection{Verdicts: []string{"allowed"}}},
			[]ipe.Kind{ipe.KindAccess, ipe.KindEnforcement, ipe.KindLost}, nil},
		{"verdicts", Selection{Verdicts: []string{"denied"}},
			[]ipe.Kind{ipe.KindAccess}, []ipe.Kind{ipe.KindEnforcement, ipe.KindLost}},
		{"events", Selection{Events: []string{"lost"}},
			[]ipe.Kind{ipe.KindLost}, []ipe.Kind{ipe.KindForged, ipe.KindEnforcement}},
		{"not events", Selection{Not: &Selection{Events: []string{"enforcement"}}},
			[]ipe.Kind{ipe.KindAccess}, []ipe.Kind{ipe.KindEnforcement}},
		{"not in not", Selection{Not: &Selection{Not: &Selection{Verdicts: []string{"denied"}}}},
			[]ipe.Kind{ipe.KindAccess}, []ipe.Kind{ipe.KindEnforcement}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Compile([]Selection{tt.in})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range tt.want {
				if !m.Reaches(k) {
					t.Errorf("%v: got false, want true", k)
				}
			}
			for _, k := range tt.not {
				if m.Reaches(k) {
					t.Errorf("%v: got true, want false", k)
				}
			}
		})
	}
}

func TestEveryNameOfPkgIPEIsKnown(t *testing.T) {
	t.Parallel()
	if (lastKind+1).String() != "" || (lastVerdict+1).String() != "" {
		t.Error("pkg/ipe has a kind or verdict that is missing here")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m, ev := hardMatcher(t)
	if n := testing.AllocsPerRun(100, func() { m.Match(ev) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	m, ev := hardMatcher(b)
	b.ReportAllocs()
	for b.Loop() {
		m.Match(ev)
	}
}

// hardMatcher returns a matcher and an event that makes it try everything.
func hardMatcher(tb testing.TB) (*Matcher, *ipe.Event) {
	tb.Helper()
	m, err := Compile([]Selection{
		{Verdicts: []string{"allowed"}},
		{Verdicts: []string{"denied"}, Ops: []string{"KMODULE", "EXECUTE"}, Hooks: []string{"BPRM_CHECK"},
			Paths: []string{"/opt/*/bin", "/tmp/build/**"}, Not: &Selection{Paths: []string{"/tmp/**/[a-c]*.so"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	ev := denied([]byte("/tmp/build/deep/down/below/libz.so"))
	if !m.Match(ev) {
		tb.Fatal("got no match, want one")
	}
	return m, ev
}
