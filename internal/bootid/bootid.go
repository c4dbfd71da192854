// Package bootid names the boots of a kernel as the kernel does (random(4),
// boot_id): 128 random bits, written as a UUID.
package bootid

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// ID identifies one boot of a kernel. The zero ID is unknown.
type ID [16]byte

const file = "/proc/sys/kernel/random/boot_id"

// Current returns the id of the running boot.
func Current() (ID, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return ID{}, fmt.Errorf("read the boot id: %w", err)
	}
	id, err := Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return ID{}, fmt.Errorf("%s: %w", file, err)
	}
	return id, nil
}

// Parse reads what String writes, with hyphens or without, as journald has it.
func Parse(s string) (ID, error) {
	var id ID
	digits := strings.ReplaceAll(s, "-", "")
	if n, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))])); err != nil || n != len(id) || len(digits) != 2*len(id) {
		return ID{}, fmt.Errorf("not a boot id: %q", s)
	}
	return id, nil
}

// String returns the id as the kernel writes it (%pU, lib/uuid.c), or the empty
// string when it is unknown.
func (id ID) String() string { return string(id.AppendTo(nil)) }

// AppendTo appends what String returns.
func (id ID) AppendTo(dst []byte) []byte {
	if id == (ID{}) {
		return dst
	}
	dst = hex.AppendEncode(dst, id[:4])
	for i := 4; i < 10; i += 2 {
		dst = hex.AppendEncode(append(dst, '-'), id[i:i+2])
	}
	return hex.AppendEncode(append(dst, '-'), id[10:])
}
