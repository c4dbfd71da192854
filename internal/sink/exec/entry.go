package exec

import (
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendEntry appends ev as [ModeEach] wants it: the JSON form, and after its
// newline the variables, each ended by NUL. It is a [format.Func], but not a
// line format, and it allocates.
func AppendEntry(dst []byte, ev *ipe.Event, c *format.Context) []byte {
	dst = format.AppendJSON(dst, ev, c)
	for _, v := range format.AppendEnv(nil, ev, c) {
		dst = append(append(dst, v...), 0)
	}
	return dst
}
