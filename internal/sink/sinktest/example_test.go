package sinktest_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/sinktest"
)

func ExampleLines() {
	lines, err := sinktest.Lines([]byte("{\"seq\":1}\n{\"seq\":2}\n{\"se"))
	fmt.Println(len(lines), err)
	// Output: 2 torn at the end: "{\"se"
}
