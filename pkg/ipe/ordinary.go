package ipe

import "github.com/ipe-auditd/ipe-auditd/internal/auditrec"

// readOrdinary reads an access record as long as it is the way every mainline
// kernel prints it: these keys in this order, one blank between them. It
// returns the fields that it read, and the body from the first surprise on.
// readFields goes on from there, and would have read the same from the start
// in twice the time, because it has to find out which key comes next. Nearly
// all of IPE's records are of this form, and a flood of them is when time
// counts.
func (d *Decoder) readOrdinary(ev *Event, body []byte) (read fieldSet, rest []byte) {
	if v, r, ok := auditrec.CutValue(after(body, "ipe_op=")); ok && len(v) > 0 {
		ev.Op, body, read = plain(v), r, read|1<<fieldOp
	}
	if v, r, ok := auditrec.CutValue(after(body, " ipe_hook=")); ok && len(v) > 0 {
		ev.Hook, body, read = plain(v), r, read|1<<fieldHook
	}
	if v, r, ok := auditrec.CutValue(after(body, " enforcing=")); ok && setBool(&ev.Enforcing, v) {
		body, read = r, read|1<<fieldEnforcing
	}
	if v, r, ok := auditrec.CutValue(after(body, " pid=")); ok && setUint(ev, HasPID, &ev.PID, v) {
		body, read = r, read|1<<fieldPID
	}
	if v, r, ok := auditrec.CutValue(after(body, " comm=")); ok && len(v) > 0 {
		ev.Comm, body, read = d.untrusted(ev, v), r, read|1<<fieldComm
	}
	if v, r, ok := auditrec.CutValue(after(body, " path=")); ok && len(v) > 0 {
		ev.Path, body, read = d.untrusted(ev, v), r, read|1<<fieldPath
	}
	if v, r, ok := auditrec.CutValue(after(body, " dev=")); ok && len(v) > 0 {
		ev.Dev, body, read = d.untrusted(ev, v), r, read|1<<fieldDev
	}
	if v, r, ok := auditrec.CutValue(after(body, " ino=")); ok && len(v) > 0 && (v.Absent() || setUint(ev, HasIno, &ev.Ino, v)) {
		body, read = r, read|1<<fieldIno
	}
	if text := after(body, " rule="); text != nil {
		if n := ruleLen(text); n > 0 {
			ev.Rule, body, read = text[1:n-1], text[n:], read|1<<fieldRule
		}
	}
	return read, body
}

// after returns what stands behind key when text begins with key, else nil.
func after(text []byte, key string) []byte {
	if len(text) < len(key) || string(text[:len(key)]) != key {
		return nil
	}
	return text[len(key):]
}
