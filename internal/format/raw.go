package format

import (
	"bytes"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendRaw appends the record as auditd writes it to audit.log, so that
// ausearch -if reads it. It is a [Func].
//
// The daemon's own events are no records: nothing is appended for them, and a
// sink has nothing to write. Nor is there anything to write for an event from JSON
// without the text of its record. A record without a stamp (those of the IPE mails)
// gets the one of the event, or audit(0.000:0). The kernel sends no newline and
// no NUL; in a record from elsewhere each becomes a blank, as a newline would
// tear the line and a NUL end it for ausearch.
func AppendRaw(dst []byte, ev *ipe.Event, _ *Context) []byte {
	if !ev.HasRecord() || ev.Raw == nil {
		return dst
	}
	dst = append(dst, "type="...)
	if name := auditrec.TypeName(ev.Type); name != "" {
		dst = append(dst, name...)
	} else {
		dst = append(dst, "UNKNOWN["...)
		dst = strconv.AppendUint(dst, uint64(ev.Type), 10)
		dst = append(dst, ']')
	}
	dst = append(dst, " msg="...)
	if !bytes.HasPrefix(ev.Raw, []byte("audit(")) {
		dst = appendStamp(dst, ev)
	}
	for _, c := range ev.Raw {
		if c == '\n' || c == 0 {
			c = ' '
		}
		dst = append(dst, c)
	}
	return append(dst, '\n')
}

// appendStamp appends the stamp of the event as the kernel prints it.
func appendStamp(dst []byte, ev *ipe.Event) []byte {
	var ms uint64
	if ev.Has&ipe.HasStamp != 0 && ev.Time > 0 {
		ms = uint64(ev.Time)
	}
	return auditrec.AppendStamp(dst, ms, ev.Serial)
}
