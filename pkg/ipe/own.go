package ipe

import (
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// AppendOwn appends one of the daemon's own events, in the form in which it
// rests in the spool as a record of type 0. [Decoder.Decode] reads it back
// exactly, but for Raw, which it leaves nil, and Extra, which is not written.
//
// The form is the kernel's grammar: numbers in decimal, booleans 0 and 1, all
// strings untrusted strings; what is absent is left out.
//
// Of the stamp it has the time; a serial is the kernel's to give.
//
//	event="lost" time=1795440104000 count=7 accuracy="exact" stage="socket"
func AppendOwn(dst []byte, ev *Event) []byte {
	dst = append(dst, `event="`...)
	dst = append(dst, ev.Kind.String()...)
	dst = append(dst, '"')
	if ev.Has&HasStamp != 0 {
		dst = strconv.AppendInt(append(dst, " time="...), ev.Time, 10)
	}
	if ev.Has&HasCount != 0 {
		dst = strconv.AppendUint(append(dst, " count="...), ev.Count, 10)
	}
	if ev.Accuracy != AccuracyNone {
		dst = appendOwnString(dst, "accuracy", []byte(ev.Accuracy.String()))
	}
	dst = appendOwnString(dst, "stage", ev.Stage)
	if ev.Has&HasSince != 0 {
		dst = strconv.AppendInt(append(dst, " since="...), ev.Since, 10)
	}
	if ev.Has&HasUntil != 0 {
		dst = strconv.AppendInt(append(dst, " until="...), ev.Until, 10)
	}
	if ev.Has&HasSeqRange != 0 {
		dst = strconv.AppendUint(append(dst, " first_seq="...), ev.FirstSeq, 10)
		dst = strconv.AppendUint(append(dst, " last_seq="...), ev.LastSeq, 10)
	}
	dst = appendOwnString(dst, "version", ev.Version)
	dst = appendOwnString(dst, "kernel", ev.Kernel)
	dst = appendOwnString(dst, "ipe_status", ev.IPEStatus)
	dst = appendOwnBool(dst, "enforcing", ev.Enforcing)
	dst = appendOwnBool(dst, "success_audit", ev.SuccessAudit)
	dst = appendOwnString(dst, "policy_name", ev.Policy.Name)
	dst = appendOwnString(dst, "policy_version", ev.Policy.Version)
	return appendOwnString(dst, "policy_digest", ev.Policy.Digest)
}

func appendOwnString(dst []byte, key string, s []byte) []byte {
	if s == nil {
		return dst
	}
	dst = append(dst, ' ')
	dst = append(dst, key...)
	dst = append(dst, '=')
	return auditrec.AppendUntrusted(dst, s)
}

func appendOwnBool(dst []byte, key string, b Bool) []byte {
	if !b.Known() {
		return dst
	}
	dst = append(dst, ' ')
	dst = append(dst, key...)
	return append(dst, '=', '0'+byte(b-False))
}

// readOwn reads what AppendOwn wrote. Text that it did not write is foreign; a
// key of a later release is kept in Extra.
func (d *Decoder) readOwn(ev *Event, text []byte) Class {
	d.reserve(len(text))
	for {
		name, rest, ok := auditrec.CutKey(text)
		if !ok {
			if len(name) == 0 && !ev.Kind.FromKernel() {
				return ClassIPE
			}
			return ClassForeign
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			return ClassForeign
		}
		if !d.setOwn(ev, name, v) {
			ev.Extra = append(ev.Extra, KeyValue{name, v})
		}
		text = rest
	}
}

// setOwn stores the value of a field, and reports whether it could.
func (d *Decoder) setOwn(ev *Event, name []byte, v auditrec.Value) bool {
	switch string(name) {
	case "event":
		k := index(kindNames[:], v.Text())
		ev.Kind = Kind(k)
		return k > 0
	case "time":
		return setInt(ev, HasStamp, &ev.Time, v)
	case "count":
		return setUint(ev, HasCount, &ev.Count, v)
	case "accuracy":
		a := index(accuracyNames[:], v.Text())
		ev.Accuracy = Accuracy(a)
		return a > 0
	case "stage":
		ev.Stage = d.untrusted(ev, v)
	case "since":
		return setInt(ev, HasSince, &ev.Since, v)
	case "until":
		return setInt(ev, HasUntil, &ev.Until, v)
	case "first_seq":
		return setUint(ev, HasSeqRange, &ev.FirstSeq, v)
	case "last_seq":
		return setUint(ev, HasSeqRange, &ev.LastSeq, v)
	case "version":
		ev.Version = d.untrusted(ev, v)
	case "kernel":
		ev.Kernel = d.untrusted(ev, v)
	case "ipe_status":
		ev.IPEStatus = d.untrusted(ev, v)
	case "enforcing":
		return setBool(&ev.Enforcing, v)
	case "success_audit":
		return setBool(&ev.SuccessAudit, v)
	case "policy_name":
		ev.Policy.Name = d.untrusted(ev, v)
	case "policy_version":
		ev.Policy.Version = d.untrusted(ev, v)
	case "policy_digest":
		ev.Policy.Digest = d.untrusted(ev, v)
	default:
		return false
	}
	return true
}

// index returns the index of s in names, or 0 when it is not there.
func index(names []string, s []byte) int {
	for i, n := range names {
		if n == string(s) {
			return i
		}
	}
	return 0
}
