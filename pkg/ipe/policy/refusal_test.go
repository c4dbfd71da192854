package policy_test

import (
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func TestRefusalsAreNamedAsLinuxDoes(t *testing.T) {
	t.Parallel()
	seen := map[syscall.Errno]bool{}
	for _, r := range policy.Refusals() {
		if name := unix.ErrnoName(r.Errno); name != r.Name || seen[r.Errno] {
			t.Errorf("%d is called %s, not %s, or stands there twice", r.Errno, name, r.Name)
		}
		seen[r.Errno] = true
		for _, text := range []string{r.Short, r.Long} {
			if text == "" || strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..") || strings.Contains(text, "\n") {
				t.Errorf("%s: %q", r.Name, text)
			}
		}
		for _, errno := range []int64{int64(r.Errno), -int64(r.Errno)} {
			if got, ok := policy.RefusalOf(errno); !ok || got != r {
				t.Errorf("RefusalOf(%d) = %v, %v", errno, got, ok)
			}
		}
	}
	for _, errno := range []int64{0, 9999, -9999, -1 << 63} {
		if got, ok := policy.RefusalOf(errno); ok {
			t.Errorf("RefusalOf(%d) = %v", errno, got)
		}
	}
}
