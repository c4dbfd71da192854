package fileprops_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/fileprops"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

func Example() {
	r := fileprops.New().Measure(fileprops.Object{Path: "/tmp/no/such program", Dev: "tmpfs", Ino: 2})
	fmt.Println(r.State, r.Reason)
	fmt.Println(r.Facts.FSVerityDigest.Has == policy.False, r.Facts.BootVerified == policy.False)
	// Output:
	// gone nothing is at "/tmp/no/such program", as seen from here
	// true true
}
