package input_test

import (
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/input"
)

func Example() {
	r := input.NewReader(strings.NewReader(`
Nov 23 13:31:41 vm audit[570]: AUDIT1420 ipe_op=EXECUTE ipe_hook=MMAP
[   12.345678] usb 1-1: new high-speed USB device
[   12.345678] audit: type=1404 audit(1795440103.669:11): enforcing=0 old_enforcing=1 lsm=ipe
type=UNKNOWN[1420] msg=audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK
`))
	var rec input.Record
	for {
		err := r.Next(&rec)
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d %s\n", rec.Type, rec.Text)
	}
	fmt.Println("passed over:", r.Passed())
	// Output:
	// 1420 ipe_op=EXECUTE ipe_hook=MMAP
	// 1404 audit(1795440103.669:11): enforcing=0 old_enforcing=1 lsm=ipe
	// 1420 audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK
	// passed over: 1
}
