package ipe

import "strconv"

// Caller says who asked for an access, and where it ran. It comes from what is
// seen beside the record: the other records of its audit event, and /proc at the
// time of receipt. Context says which of the two; where it is 0 nothing is known.
//
// The slices are as those of an [Event].
type Caller struct {
	EUID      uint32 // with HasEUID
	PPID      uint64 // process id of the parent, with HasPPID
	Exit      int64  // what the system call returned, with HasExit
	Success   Bool   // of the system call: IPE's verdict is another thing
	Syscall   []byte // name for the record's arch, or its number in decimal
	TTY       []byte
	Exe       []byte // nil after an exec that succeeded: there it is the object
	Proctitle []byte // command line, blanks for its NULs

	Cgroup    []byte // path below the root of the hierarchy
	Unit      []byte // as _SYSTEMD_UNIT of the journal
	UserUnit  []byte // as _SYSTEMD_USER_UNIT
	Container []byte // its id, or its name where the runtime has no id
	Pod       []byte // UID of the Kubernetes pod

	Context Contexts
}

// Known reports whether anything about the caller is known. EUID, PPID and Exit
// are those of the event: see [Event.CallerKnown].
func (c *Caller) Known() bool {
	return c.Context != 0 || c.Success != Unknown || c.Syscall != nil || c.TTY != nil || c.Exe != nil || c.Proctitle != nil ||
		c.Cgroup != nil || c.Unit != nil || c.UserUnit != nil || c.Container != nil || c.Pod != nil
}

// CallerKnown reports whether anything about the caller is known.
func (ev *Event) CallerKnown() bool {
	return ev.Has&(HasEUID|HasPPID|HasExit) != 0 || ev.Caller.Known()
}

// Contexts says where a [Caller] comes from. It is a set.
type Contexts uint8

// The members of Contexts.
const (
	ContextAudit  Contexts = 1 << iota // the companion records of the audit event
	ContextProc                        // /proc of the process, when the record was received
	ContextParent                      // /proc of its parent: the cgroup is that of the parent
	ContextOff                         // companion records were shut out: their absence says nothing
)

var contextNames = [...]string{"audit", "proc", "parent", "off"}

// All yields the names of the members, in the order of the JSON key "context".
func (c Contexts) All(yield func(string) bool) {
	for i, s := range contextNames {
		if c&(1<<i) != 0 && !yield(s) {
			return
		}
	}
}

// ContextNamed returns the member with that name, 0 if there is none.
func ContextNamed(name []byte) Contexts {
	for i, s := range contextNames {
		if s == string(name) {
			return 1 << i
		}
	}
	return 0
}

// String returns the names, with commas between them.
func (c Contexts) String() string {
	s := ""
	for name := range c.All {
		if s != "" {
			s += ","
		}
		s += name
	}
	if rest := c >> len(contextNames); rest != 0 {
		s += "+" + strconv.Itoa(int(rest))
	}
	return s
}
