// Package wire is what a test and the guest's init say to each other: one JSON
// value a line, over a virtio serial port.
//
// The host sends a [Call], init answers with any number of [Reply]. Init knows
// one thing only, how to run a program; everything else is a program, among
// them init itself under another name (test/vm/guest).
package wire

// Port is the name of the virtio serial port.
const Port = "ipe-auditd.vm"

// Call asks init to run a program, or to signal one that it runs. Byte slices
// travel as base64: names in the guest are of any bytes.
type Call struct {
	// ID is chosen by the host and comes back in the replies.
	ID uint64

	// Argv is the program, an absolute path, and its arguments.
	Argv  [][]byte `json:",omitempty"`
	Env   []string `json:",omitempty"`
	Stdin []byte   `json:",omitempty"`

	// UID and GID other than 0 drop every capability but those in Ambient.
	UID, GID uint32    `json:",omitempty"`
	Ambient  []uintptr `json:",omitempty"`

	// Cloneflags are namespaces to make, CLONE_NEW*.
	Cloneflags uintptr `json:",omitempty"`

	// Chroot is the root directory.
	Chroot string `json:",omitempty"`

	// Signal, when not 0, goes to the program of the call ID.
	Signal int `json:",omitempty"`
}

// Reply is what a program did. The first one of a call has PID, or Error when
// there is no program; the last one has Exit or Error.
type Reply struct {
	ID     uint64
	PID    int    `json:",omitempty"`
	Stdout []byte `json:",omitempty"`
	Stderr []byte `json:",omitempty"`

	// Exit is the exit status, 128+N after signal N.
	Exit  *int   `json:",omitempty"`
	Error string `json:",omitempty"`
}

// Result is what an action printed on its standard output. An action that
// became another program printed nothing.
type Result struct {
	// Errno of the system call that was judged; 0 when it was permitted.
	Errno int `json:",omitempty"`

	// Step names the system call that failed when it is not the judged one.
	Step string `json:",omitempty"`

	Errnos []int  `json:",omitempty"` // of each write of write-each
	Path   []byte `json:",omitempty"`
	Ino    uint64 `json:",omitempty"`
	Digest []byte `json:",omitempty"` // of fs-verity, SHA-256

	// Session of the audit login.
	Session uint64 `json:",omitempty"`

	// Attempts and Refused count what a flood did.
	Attempts uint64 `json:",omitempty"`
	Refused  uint64 `json:",omitempty"`

	// Heard is what a peer wrote.
	Heard []byte `json:",omitempty"`
}
