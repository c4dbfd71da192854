package ipe

import "testing"

// TestObjectIsMemoryOnlyForExecute: a record without a file is about memory
// only where code is mapped; everywhere else it is data.
func TestObjectIsMemoryOnlyForExecute(t *testing.T) {
	t.Parallel()
	const none = "path=? dev=? ino=?"
	for _, tt := range []struct {
		op, hook, object string
		want             ObjectKind
	}{
		{"EXECUTE", "MMAP", none, ObjectMemory},
		{"EXECUTE", "MPROTECT", none, ObjectMemory},
		{"EXECUTE", "MPROTECT", "", ObjectMemory}, // Azure Linux
		{"KMODULE", "KERNEL_LOAD", none, ObjectData},
		{"KMODULE", "KERNEL_READ", none, ObjectData},
		{"FIRMWARE", "KERNEL_LOAD", none, ObjectData},
		{"READ", "OPEN", "", ObjectData},
		{"BPF_PROG_LOAD", "BPF_PROG_LOAD", none, ObjectData},
		{"NEW", "MMAP", none, ObjectData},
		{"EXECUTE", "NEW", none, ObjectData},
		{"EXECUTE", "MMAP", `path="/a" dev="vda" ino=1`, ObjectPath},
		{"EXECUTE", "MMAP", `path=? dev="vda" ino=1`, ObjectFile},
		{"KMODULE", "KERNEL_READ", `path=? dev=? ino=1`, ObjectFile},
	} {
		text := `audit(1.000:1): ipe_op=` + tt.op + ` ipe_hook=` + tt.hook + ` enforcing=1 pid=1 comm="x" ` + tt.object + ` rule="DEFAULT action=DENY"`
		var ev Event
		new(Decoder).Decode(&ev, TypeAccess, []byte(text))
		if got := ev.Object(); ev.Kind != KindAccess || got != tt.want {
			t.Errorf("%s: %v is about %q, want %q", text, ev.Kind, got, tt.want)
		}
	}
	for text, want := range map[string]ObjectKind{
		`audit(1.000:1): rule="op=KMODULE action=DENY"`: ObjectUnknown,
		`audit(1.000:1): `: ObjectNone,
	} {
		var ev Event
		new(Decoder).Decode(&ev, TypeAccess, []byte(text))
		if got := ev.Object(); got != want {
			t.Errorf("%s: %v is about %q, want %q", text, ev.Kind, got, want)
		}
	}
}
