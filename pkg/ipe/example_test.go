package ipe_test

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func ExampleDecoder() {
	record := []byte(`audit(1795440941.273:45): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=559 ` +
		`comm="labtool" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`)

	var d ipe.Decoder
	var ev ipe.Event
	if class := d.Decode(&ev, ipe.TypeAccess, record); class != ipe.ClassIPE {
		fmt.Println("not IPE's:", class)
		return
	}
	fmt.Printf("%s: %s of %s by %s\n", ev.Verdict, ev.Op, ev.Path, ev.Comm)
	// Output: denied: EXECUTE of /tmp/true by labtool
}

func ExampleClassify() {
	fmt.Println(ipe.Classify(1423, []byte(`IPE enforce=1`)))
	fmt.Println(ipe.Classify(1423, []byte(`domain=1c3410a3b blockers=fs.read_file path="/tmp/f"`)))
	fmt.Println(ipe.Classify(1404, []byte(`audit(1795440103.669:10): `)))
	// Output:
	// ipe
	// landlock
	// empty
}
