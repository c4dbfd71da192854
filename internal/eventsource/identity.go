package eventsource

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// same reports whether two events with one stamp and serial are one: entries of
// one number in one spool, or one record of the kernel that came in two ways.
// What says no boot may be of any.
func same(a, b *Event) bool {
	if a.boot != b.boot && len(a.boot.id) > 0 && len(b.boot.id) > 0 {
		return false
	}
	switch {
	case a.At.Seq > 0 && a.At == b.At:
		return true
	case a.Serial == 0 || !a.HasRecord() || !b.HasRecord():
		// What has no number can only be told by all that it says.
		return a.At.Seq == 0 && a.At == b.At && a.Kind == b.Kind && (a.Kind == ipe.KindLost || a.Kind == ipe.KindRepeated) &&
			bytes.Equal(pack(nil, &a.Event), pack(nil, &b.Event))
	case a.Type != b.Type:
		return false
	case a.Kind == ipe.KindUnparsed && b.Kind == ipe.KindUnparsed:
		return bytes.HasPrefix(a.Raw, b.Raw) || bytes.HasPrefix(b.Raw, a.Raw)
	case a.Kind == ipe.KindUnparsed:
		return beginsAs(a.Raw, &b.Event)
	case b.Kind == ipe.KindUnparsed:
		return beginsAs(b.Raw, &a.Event)
	}
	return a.PID == b.PID && bytes.Equal(a.What, b.What) && bytes.Equal(a.Old, b.Old) && bytes.Equal(a.New, b.New) &&
		bytes.Equal(a.Hook, b.Hook) && bytes.Equal(a.Op, b.Op) &&
		bytes.Equal(a.Path, b.Path) && (a.Path == nil) == (b.Path == nil)
}

// better reports whether a is to be kept of two events that are one: it says
// more.
func better(a, b *Event) bool {
	worth := func(ev *Event) (n int) {
		for _, has := range [...]bool{
			ev.Kind != ipe.KindUnparsed, ev.At.Seq > 0, ev.ActivePolicy.Known(), len(ev.boot.id) > 0,
		} {
			if n *= 2; has {
				n++
			}
		}
		return n
	}
	return cmp.Or(
		cmp.Compare(worth(a), worth(b)), cmp.Compare(len(a.Raw), len(b.Raw)),
		cmp.Compare(b.At.ID, a.At.ID), cmp.Compare(b.At.Seq, a.At.Seq),
	) > 0
}

// merge makes ev, which is kept, say what only other does, which is the same.
func (ev *Event) merge(other *Event) {
	if len(ev.boot.id) == 0 {
		ev.boot, ev.BootID = other.boot, other.BootID
	}
	if !ev.ActivePolicy.Known() {
		ev.ActivePolicy = other.ActivePolicy
	}
}

// beginsAs reports whether the text of a record, of which the end is missing, may
// be that of ev: as far as it goes it names the same operation, hook, process and
// path.
func beginsAs(text []byte, ev *ipe.Event) bool {
	if i := bytes.Index(text, []byte("): ")); i >= 0 && bytes.HasPrefix(text, []byte("audit(")) {
		text = text[i+len("): "):]
	}
	for {
		text = bytes.TrimLeft(text, " ")
		key, rest, ok := bytes.Cut(text, []byte{'='})
		if !ok {
			return true // cut in the middle of a key
		}
		value, rest, whole := cutValue(rest)
		if !agrees(key, value, whole, ev) {
			return false
		}
		text = rest
	}
}

// cutValue cuts a value off the front of text, and reports whether it is whole:
// something is behind it. One in quotes has no quote in it.
func cutValue(text []byte) (value, rest []byte, whole bool) {
	end := []byte(" ")
	if len(text) > 0 && text[0] == '"' {
		end = []byte(`" `)
	}
	i := bytes.Index(text, end)
	if i < 0 {
		return text, nil, len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"'
	}
	i += len(end) - 1
	return text[:i], text[i:], true
}

// agrees reports whether ev has that value, or where it is not whole one that
// begins with it.
func agrees(key, value []byte, whole bool, ev *ipe.Event) bool {
	var has []byte
	switch string(key) {
	case "ipe_op":
		has = ev.Op
	case "ipe_hook":
		has = ev.Hook
	case "pid":
		has = strconv.AppendUint(nil, ev.PID, 10)
	case "path":
		if has = ev.Path; has == nil {
			return len(value) == 0 || value[0] == '?'
		}
		value = decoded(value, whole)
	}
	if has == nil || whole && bytes.Equal(has, value) {
		return true
	}
	return !whole && bytes.HasPrefix(has, value)
}

// decoded returns the bytes of an untrusted string, of which the end may be
// missing: it is in quotes or in hex (audit_log_untrustedstring, kernel/audit.c).
func decoded(value []byte, whole bool) []byte {
	if len(value) > 0 && value[0] == '"' {
		value = value[1:]
		if whole {
			value = bytes.TrimSuffix(value, []byte{'"'})
		}
		return value
	}
	b := make([]byte, len(value)/2)
	n, _ := hex.Decode(b, value[:len(value)&^1])
	return b[:n]
}
