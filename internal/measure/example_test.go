package measure_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/measure"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func Example() {
	r := measure.New().Measure(measure.Object{Path: "/tmp/no/such program", Dev: "tmpfs", Ino: 2})
	fmt.Println(r.State, r.Reason)
	fmt.Println(r.Facts.FSVerityDigest.Has == policy.False, r.Facts.BootVerified == policy.False)
	// Output:
	// gone nothing is at "/tmp/no/such program", as seen from here
	// true true
}
