package statedir_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
)

func Example() {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	fmt.Println(statedir.CheckOwner(dir, os.Geteuid()))
	os.Symlink("/dev/null", filepath.Join(dir, "policies.json"))
	err = statedir.CheckOwner(dir, os.Geteuid())
	fmt.Println(strings.TrimPrefix(err.Error(), dir))
	// Output:
	// <nil>
	// /policies.json is not a regular file: move it away; the daemon did not make it
}
