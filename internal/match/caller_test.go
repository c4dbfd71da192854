package match

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestSelectByCaller(t *testing.T) {
	t.Parallel()
	service := &ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasUID | ipe.HasEUID, UID: 33,
		Caller: ipe.Caller{EUID: 0, Unit: []byte("nginx.service"), Container: []byte("0123456789ab")}}
	shell := &ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasAUID, AUID: 1000,
		Caller: ipe.Caller{Unit: []byte("user@1000.service"), UserUnit: []byte("app.scope")}}
	unknown := &ipe.Event{Kind: ipe.KindAccess}
	other := &ipe.Event{Kind: ipe.KindLost}
	for _, tt := range []struct {
		name string
		s    Selection
		want [4]bool
	}{
		{"unit", Selection{Units: []string{"nginx.service"}}, [4]bool{true}},
		{"pattern of units", Selection{Units: []string{"x", "*.service"}}, [4]bool{true, true}},
		{"unit of a user", Selection{Units: []string{"app.?cope"}}, [4]bool{false, true}},
		{"no part of a name", Selection{Units: []string{"nginx"}}, [4]bool{}},
		{"user", Selection{Users: []string{"33"}}, [4]bool{true}},
		{"effective user by name", Selection{Users: []string{"root"}}, [4]bool{true}},
		{"who logged in", Selection{Users: []string{"1000"}}, [4]bool{false, true}},
		{"container", Selection{Containers: []string{"0123*"}}, [4]bool{true}},
		{"all of them", Selection{Units: []string{"nginx*"}, Users: []string{"33"}, Containers: []string{"*"}}, [4]bool{true}},
		{"not", Selection{Events: []string{"access"}, Not: &Selection{Users: []string{"0", "1000"}}}, [4]bool{false, false, true}},
		{"anything else", Selection{Not: &Selection{Units: []string{"*"}}}, [4]bool{false, false, true, true}},
	} {
		m, err := Compile([]Selection{tt.s})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for i, ev := range []*ipe.Event{service, shell, unknown, other} {
			if got := m.Match(ev); got != tt.want[i] {
				t.Errorf("%s: event %d: %v", tt.name, i, got)
			}
		}
	}
	for want, s := range map[string]Selection{
		"users: \"nobody-has-this-name\"": {Users: []string{"nobody-has-this-name"}},
		"units: empty list":               {Units: []string{}},
		"not.containers: an empty text":   {Not: &Selection{Containers: []string{""}}},
		"events: \"lost\"":                {Events: []string{"lost"}, Users: []string{"0"}},
	} {
		_, err := Compile([]Selection{s})
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"?", "", false}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false},
		{"*.service", "x.service", true}, {"**", "x", true}, {"a?c", "abc", true}, {"a?c", "ac", false}, {strings.Repeat("*a", 40), strings.Repeat("a", 39), false},
	} {
		if got := like(tt.pattern, []byte(tt.s)); got != tt.want {
			t.Errorf("like(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestSelectByCallerDoesNotAllocate(t *testing.T) {
	m, err := Compile([]Selection{{Units: []string{"*x", "ng*"}, Users: []string{"33"}, Containers: []string{"0*"}}})
	if err != nil {
		t.Fatal(err)
	}
	ev := &ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasUID, UID: 33, Caller: ipe.Caller{Unit: []byte("nginx.service"), Container: []byte("01")}}
	if n := testing.AllocsPerRun(100, func() { m.Match(ev) }); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}
