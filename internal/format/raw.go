package format

import (
	"bytes"
	"strconv"

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
	if name := auditdName(ev.Type); name != "" {
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

// auditdName returns the name that auditd 3 and 4 have for a record type
// that can be an event (audit-userspace, lib/msg_typetab.h). It has none for 1420 to 1422.
func auditdName(typ uint16) string {
	switch typ {
	case 1305:
		return "CONFIG_CHANGE"
	case 1335:
		return "EVENT_LISTENER"
	case 1403:
		return "MAC_POLICY_LOAD"
	case 1404:
		return "MAC_STATUS"
	case 1405:
		return "MAC_CONFIG_CHANGE"
	case 1802:
		return "INTEGRITY_STATUS"
	case 1807:
		return "INTEGRITY_POLICY_RULE"
	}
	return ""
}

// appendStamp appends "audit(1795440956.605:590): ", as in audit_log_start,
// kernel/audit.c.
func appendStamp(dst []byte, ev *ipe.Event) []byte {
	var ms int64
	if ev.Has&ipe.HasStamp != 0 && ev.Time > 0 {
		ms = ev.Time
	}
	dst = append(dst, "audit("...)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	milli := ms % 1000
	dst = append(dst, '.', byte('0'+milli/100), byte('0'+milli/10%10), byte('0'+milli%10), ':')
	dst = strconv.AppendUint(dst, ev.Serial, 10)
	return append(dst, "): "...)
}
