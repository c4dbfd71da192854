package docs

import (
	"fmt"
	"regexp"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// TestPageHasEveryRefusal compares the table of errors with what commands say.
func TestPageHasEveryRefusal(t *testing.T) {
	t.Parallel()
	if syscall.ENOKEY != 126 {
		t.Skip("this architecture has numbers of its own, and the page those of most")
	}
	row := regexp.MustCompile(`(?m)^\| (-\d+ \| E[A-Z]+) \|`)
	var got, want []string
	for _, m := range row.FindAllStringSubmatch(read(t, eventsPage), -1) {
		got = append(got, m[1])
	}
	for _, r := range policy.Refusals() {
		want = append(want, fmt.Sprintf("-%d | %s", int(r.Errno), r.Name))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-known +page):\n%s", eventsPage, diff)
	}
}
