package eventsource

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestCutTextIsThatOfTheWholeRecord cuts a record anywhere, and compares it with
// others.
func TestCutTextIsThatOfTheWholeRecord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`audit(1.000:5): ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=559 comm="a b" path="/opt/a b" dev="vda2" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`,
		`audit(1.000:5): ipe_op=EXECUTE ipe_hook=MMAP enforcing=0 pid=559 comm="sh" path=2F6F70742F612062 dev="vda2" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`,
	} {
		whole := ipe.Event{Op: []byte("EXECUTE"), Hook: []byte("MMAP"), PID: 559, Path: []byte("/opt/a b")}
		for i := range len(text) + 1 {
			if !beginsAs([]byte(text[:i]), &whole) {
				t.Errorf("%q is not held to be the beginning of its record", text[:i])
			}
		}
		for _, other := range []ipe.Event{
			{Op: []byte("KMODULE"), Hook: []byte("MMAP"), PID: 559, Path: []byte("/opt/a b")},
			{Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), PID: 559, Path: []byte("/opt/a b")},
			{Op: []byte("EXECUTE"), Hook: []byte("MMAP"), PID: 55, Path: []byte("/opt/a b")},
			{Op: []byte("EXECUTE"), Hook: []byte("MMAP"), PID: 559, Path: []byte("/opt/a")},
			{Op: []byte("EXECUTE"), Hook: []byte("MMAP"), PID: 559},
		} {
			if beginsAs([]byte(text), &other) {
				t.Errorf("%s is held to be %+v", text, other)
			}
		}
	}
}
