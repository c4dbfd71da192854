package fileprops

import (
	"fmt"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// Object is what a record says of what was judged.
type Object struct {
	// NoFile says that there was no file: anonymous memory, or data that was
	// handed to the kernel without one, and then Data is true too.
	NoFile, Data bool

	Path string // as seen by the process; empty when not known
	Dev  string // name of the super block; empty when not known
	Ino  uint64 // 0 when not known
	PID  uint64 // 0 when not known

	// Time is when the object was judged the last time, in milliseconds since
	// 1970 UTC; 0 when not known.
	Time int64

	// Held are the properties of the rule that matched, if one did.
	Held []policy.Property
}

// ObjectOf returns the object of an access. It owns its memory.
func ObjectOf(ev *ipe.Event) Object {
	kind := ev.Object()
	o := Object{
		NoFile: kind == ipe.ObjectMemory || kind == ipe.ObjectData, Data: kind == ipe.ObjectData,
		Path: string(ev.Path), Dev: string(ev.Dev), Ino: ev.Ino, PID: ev.PID,
	}
	if ev.Has&ipe.HasStamp != 0 {
		o.Time = ev.Time
	}
	if ev.RuleKind == ipe.RuleExplicit {
		for _, property := range ev.RuleProperties {
			if p, err := policy.ParseProperty(string(property)); err == nil {
				o.Held = append(o.Held, p)
			}
		}
	}
	return o
}

// String names the object as text.Object names that of an event.
func (o *Object) String() string {
	if o.Data {
		return ipe.ObjectData.String()
	}
	if o.NoFile {
		return ipe.ObjectMemory.String()
	}
	ev := ipe.Event{Op: []byte("EXECUTE"), Hook: []byte("BPRM_CHECK"), Ino: o.Ino}
	if o.Path != "" {
		ev.Path = []byte(o.Path)
	}
	if o.Dev != "" {
		ev.Dev = []byte(o.Dev)
	}
	if o.Ino != 0 {
		ev.Has |= ipe.HasIno
	}
	return text.Object(&ev)
}

// State is what became of the object.
type State uint8

// The states. In all but StateMeasured and StateNoFile, properties of the file
// itself are not known, unless its file system cannot have them.
const (
	StateUnknown    State = iota // the record does not say enough to find it
	StateNoFile                  // there never was a file
	StateMeasured                // it is the one of the record
	StateGone                    // nothing is at its path
	StateDeleted                 // it had no name any more when it was judged
	StateOther                   // another file is at its path, as seen from here
	StateChanged                 // it was made or written after the record
	StateUnreadable              // it may not be looked at, or that failed
	StateOverlay                 // it lies in a layer below an overlay
)

var stateNames = [...]string{"unknown", "no_file", "measured", "gone", "deleted", "other", "changed", "unreadable", "overlay"}

// String returns the state in one word, for JSON.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Result is what is known of an object now.
type Result struct {
	State State
	Facts policy.Facts

	// Reason says in printable words why the state is not StateMeasured; it is
	// empty when it is.
	Reason string

	// Err is the error of the system call, with StateUnreadable.
	Err error

	// Path is the name by which the file was reached, with StateMeasured.
	Path string

	// NoDevice says that its file system has no block device, so that neither
	// verity is possible there.
	NoDevice bool

	// Verity says whether fs-verity could be asked about the file, with
	// StateMeasured.
	Verity Verity

	why [policy.FSVeritySignature + 1]string
}

// Verity is what fs-verity says of a file.
type Verity uint8

// The values of Verity.
const (
	VerityUnknown     Verity = iota // it could not be asked
	VerityEnabled                   // the file is sealed and has a digest
	VerityOff                       // the file system could, but the file is not sealed
	VerityUnsupported               // the file system cannot, or not as it was made
)

// Why says in printable words why the property is not known; it is empty when
// it is known.
func (r *Result) Why(key policy.Key) string {
	if key == policy.KeyOther {
		return "it is not known to this version"
	}
	if int(key) >= len(r.why) || r.Known(key) {
		return ""
	}
	if r.why[key] != "" {
		return r.why[key]
	}
	return r.Reason
}

// Known reports whether the property is known.
func (r *Result) Known(key policy.Key) bool {
	f := &r.Facts
	switch key {
	case policy.BootVerified:
		return f.BootVerified != policy.Unknown
	case policy.DMVerityRootHash:
		return f.DMVerityRootHash.Has != policy.Unknown
	case policy.DMVeritySignature:
		return f.DMVeritySignature != policy.Unknown
	case policy.FSVerityDigest:
		return f.FSVerityDigest.Has != policy.Unknown
	case policy.FSVeritySignature:
		return f.FSVeritySignature != policy.Unknown
	}
	return false
}

// learn adds what the matched rule has shown and what was not found out.
func (r *Result) learn(held []policy.Property) {
	for _, p := range held {
		if !r.Known(p.Key) {
			r.Facts.Learn(p)
		}
	}
}

const deletedSuffix = " (deleted)"

// named reports whether the path of a record can be looked up: d_path gives
// names without a slash in front to what has no place in the tree, and the
// kernel's audit "<too_long>" and "<no_memory>" to what it could not print.
func named(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "\x00")
}
