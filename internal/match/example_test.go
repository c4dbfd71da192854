package match_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func Example() {
	m, err := match.Compile([]match.Selection{
		{Verdicts: []string{"denied"}, Not: &match.Selection{Paths: []string{"/tmp/build/**"}}},
		{Events: []string{"enforcement", "lost"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Match(&ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Path: []byte("/usr/bin/nc")}))
	fmt.Println(m.Match(&ipe.Event{Kind: ipe.KindAccess, Verdict: ipe.VerdictDenied, Path: []byte("/tmp/build/a.out")}))
	fmt.Println(m.Match(&ipe.Event{Kind: ipe.KindLost}))

	_, err = match.Compile([]match.Selection{{Verdicts: []string{"denid"}}})
	fmt.Println(err)
	// Output:
	// true
	// false
	// true
	// match 1: verdicts: "denid": unknown; did you mean "denied"?
}
