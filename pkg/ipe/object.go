package ipe

// ObjectKind says what an access was about, as far as its record tells.
type ObjectKind uint8

// The kinds of objects.
const (
	ObjectNone    ObjectKind = iota // of events that are not accesses
	ObjectPath                      // the file at Event.Path
	ObjectFile                      // a file of which the record does not tell the path
	ObjectMemory                    // memory that is to become executable and has no file behind it
	ObjectData                      // data that has no file: a process or the kernel itself handed it over
	ObjectUnknown                   // the record says nothing of it, and its form leaves out what it does not know
)

var objectNames = [...]string{"", "path", "file of unknown path", "anonymous memory", "data without a file", "unknown object"}

// String returns the kind in words, as they stand in place of a path.
func (k ObjectKind) String() string { return name(objectNames[:], int(k)) }

// Object returns what the access was about. Where the record has no file
// (path=?, security/ipe/audit.c, audit_eval_ctx), it is memory only for
// EXECUTE at MMAP and MPROTECT (ipe_mmap_file and ipe_file_mprotect in
// security/ipe/hooks.c); every other operation has data without a file there:
// the buffer of init_module(2), kexec_load(2) and the like
// (ipe_kernel_load_data), and what newer kernels add.
func (ev *Event) Object() ObjectKind {
	switch {
	case ev.Action == ActionNone && ev.Kind != KindAccess:
		return ObjectNone
	case ev.Path != nil:
		return ObjectPath
	case ev.Dev != nil || ev.Has&HasIno != 0:
		return ObjectFile
	case ev.Dialect == DialectRFC:
		return ObjectUnknown
	case string(ev.Op) != "EXECUTE":
		return ObjectData
	}
	switch string(ev.Hook) {
	case "MMAP", "MPROTECT", "":
		return ObjectMemory
	}
	return ObjectData
}
