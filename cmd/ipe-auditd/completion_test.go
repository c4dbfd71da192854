package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestCompletionKnowsTheNewestEvents(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	for i := range 30 {
		f.spool.Append([]spool.Record{{Type: ipe.TypeAccess, Data: fmt.Appendf(nil,
			`audit(1795440937.705:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=7 comm="sh" path="/tmp/%d" dev="vda" ino=7 rule="DEFAULT op=EXECUTE action=DENY"`, i, i)}})
	}
	_, stdout, _ := command("__complete", "explain", "--socket", f.path, "")
	lines := strings.Split(stdout, "\n")
	if len(lines) < recentIDs+2 || !strings.HasPrefix(lines[0], "last\t") {
		t.Fatalf("got %q", stdout)
	}
	for i, line := range lines[1 : recentIDs+1] {
		id, event, _ := strings.Cut(line, "\t")
		c, err := spool.ParseCursor(id)
		if want := uint64(30 - i); err != nil || c.Seq != want || !strings.Contains(event, fmt.Sprintf("/tmp/%d ", 29-i)) {
			t.Errorf("line %d is %q, want event %d", i, line, want)
		}
	}
	if _, stdout, _ := command("__complete", "explain", "--socket", f.path, "last", ""); strings.Contains(stdout, "\t") {
		t.Errorf("behind the event: got %q, want files", stdout)
	}
}
