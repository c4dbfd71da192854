package history

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Errors of parse.
var (
	// errForeign: the line says nothing about an event.
	errForeign = errors.New("no event")
	// errUnreadable: the line may have been one of our events.
	errUnreadable = errors.New("not an event that this release can read")
)

// parse reads a JSON event as format.AppendJSON writes it: the same bytes in
// every string, whatever they are. Left out are "extra" and what follows from
// other keys. The slices of ev view line where they can.
//
// Any order of the keys will do, and keys that nobody knows are passed over. Of
// a key that is there twice the last counts.
func parse(ev *Event, line []byte) error {
	ev.Reset()
	if !json.Valid(line) {
		return errUnreadable
	}
	ok, named := true, false
	for key, value := range members(line) {
		if string(key) == "event" {
			named = true
		}
		ok = ok && set(ev, key, value)
	}
	switch {
	case !named:
		ev.Reset()
		return errForeign
	case !ok || (ev.Kind == ipe.KindAccess || ev.Kind == ipe.KindRepeated) && !judge(&ev.Event):
		ev.Reset()
		return errUnreadable
	case ev.At.ID == 0 || ev.At.Seq == 0 && ev.Kind != ipe.KindRepeated:
		ev.At = spool.Cursor{} // one half names nothing
	}
	return nil
}

// judge makes verdict and action of accesses whole, and reports whether that
// can be done: without a verdict it would count as seen, and as no denial.
func judge(ev *ipe.Event) bool {
	action := ipe.ActionDeny
	switch ev.Verdict {
	case ipe.VerdictNone:
		return false
	case ipe.VerdictAllowed:
		action = ipe.ActionAllow
	}
	if ev.Action == ipe.ActionNone {
		ev.Action = action
	}
	return ev.Action == action
}

// set stores the value of a key and reports whether it is one that the key can
// have.
func set(ev *Event, key, value []byte) bool {
	if list := texts(ev, key); list != nil {
		return setText(list, value, false)
	}
	if name, ok := bytes.CutSuffix(key, []byte("_hex")); ok {
		if list := texts(ev, name); list != nil {
			return setText(list, value, true)
		}
	}
	switch string(key) {
	case "spool":
		text := string(unquote(value))
		id, err := spool.ParseID(text)
		ev.At.ID = id
		return err == nil || text == "0000000000000000" // of no spool
	case "seq":
		return number(&ev.At.Seq, value, 64)
	case "time":
		return instant(ev, ipe.HasStamp, &ev.Time, value)
	case "serial":
		return number(&ev.Serial, value, 64)
	case "type":
		return number(&ev.Type, value, 16)
	case "event":
		return word(&ev.Kind, value)
	case "dialect":
		return word(&ev.Dialect, value)
	case "verdict":
		return word(&ev.Verdict, value)
	case "rule_kind":
		return word(&ev.RuleKind, value)
	case "action":
		return word(&ev.Action, value)
	case "accuracy":
		return word(&ev.Accuracy, value)
	case "enforcing":
		return boolean(&ev.Enforcing, value)
	case "old_enforcing":
		return boolean(&ev.OldEnforcing, value)
	case "res":
		return boolean(&ev.Res, value)
	case "success_audit":
		return boolean(&ev.SuccessAudit, value)
	case "pid":
		return present(ev, ipe.HasPID, number(&ev.PID, value, 64))
	case "ino":
		return present(ev, ipe.HasIno, number(&ev.Ino, value, 64))
	case "auid":
		return present(ev, ipe.HasAUID, number(&ev.AUID, value, 32))
	case "uid":
		return present(ev, ipe.HasUID, number(&ev.UID, value, 32))
	case "ses":
		return present(ev, ipe.HasSES, number(&ev.SES, value, 32))
	case "errno":
		n, err := strconv.ParseInt(string(value), 10, 64)
		ev.Errno = n
		return present(ev, ipe.HasErrno, err == nil)
	case "count":
		return present(ev, ipe.HasCount, number(&ev.Count, value, 64))
	case "first_seq":
		return present(ev, ipe.HasSeqRange, number(&ev.FirstSeq, value, 64))
	case "last_seq":
		return present(ev, ipe.HasSeqRange, number(&ev.LastSeq, value, 64))
	case "pids":
		return number(&ev.PIDs, value, 64)
	case "comms":
		return number(&ev.Comms, value, 64)
	case "since":
		return instant(ev, ipe.HasSince, &ev.Since, value)
	case "until":
		return instant(ev, ipe.HasUntil, &ev.Until, value)
	case "rule_properties", "rule_properties_hex":
		return setList(&ev.RuleProperties, value, len(key) > len("rule_properties"))
	}
	return true
}

// texts returns where the string of a key goes, nil when it has none.
func texts(ev *Event, key []byte) *[]byte {
	switch string(key) {
	case "ipe_op":
		return &ev.Op
	case "ipe_hook":
		return &ev.Hook
	case "comm":
		return &ev.Comm
	case "path":
		return &ev.Path
	case "dev":
		return &ev.Dev
	case "rule":
		return &ev.Rule
	case "active_policy_name":
		return &ev.ActivePolicy.Name
	case "active_policy_version":
		return &ev.ActivePolicy.Version
	case "active_policy_digest":
		return &ev.ActivePolicy.Digest
	case "policy_name":
		return &ev.Policy.Name
	case "policy_version":
		return &ev.Policy.Version
	case "policy_digest":
		return &ev.Policy.Digest
	case "old_policy_name":
		return &ev.OldPolicy.Name
	case "old_policy_version":
		return &ev.OldPolicy.Version
	case "old_policy_digest":
		return &ev.OldPolicy.Digest
	case "lsm":
		return &ev.LSM
	case "raw":
		return &ev.Raw
	case "stage":
		return &ev.Stage
	case "version":
		return &ev.Version
	case "kernel":
		return &ev.Kernel
	case "ipe_status":
		return &ev.IPEStatus
	case "host":
		return &ev.Host
	case "boot_id":
		return &ev.BootID
	}
	return nil
}

// setText stores a string, or the bytes that one in hex spells.
func setText(to *[]byte, value []byte, isHex bool) bool {
	if value[0] != '"' {
		return false
	}
	s := unquote(value)
	if isHex {
		b := make([]byte, hex.DecodedLen(len(s)))
		n, err := hex.Decode(b, s)
		if err != nil {
			return false
		}
		s = b[:n]
	}
	*to = s
	return true
}

func setList(to *[][]byte, value []byte, isHex bool) bool {
	if value[0] != '[' {
		return false
	}
	*to = (*to)[:0]
	for item := range items(value) {
		var s []byte
		if !setText(&s, item, isHex) {
			return false
		}
		*to = append(*to, s)
	}
	return true
}

// unquote returns the bytes of a JSON string, nil for any other value. The
// string is valid, because the whole line is.
func unquote(value []byte) []byte {
	if value[0] != '"' {
		return nil
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return nil
	}
	return []byte(s)
}

func present(ev *Event, has ipe.Has, ok bool) bool {
	ev.Has |= has
	return ok
}

func number[T uint16 | uint32 | uint64](to *T, value []byte, bits int) bool {
	n, err := strconv.ParseUint(string(value), 10, bits)
	*to = T(n)
	return err == nil
}

func boolean(to *ipe.Bool, value []byte) bool {
	*to = ipe.BoolOf(value[0] == 't')
	return value[0] == 't' || value[0] == 'f'
}

// instant stores a time. One outside the years that RFC 3339 has, which a
// broken clock makes, is as good as none.
func instant(ev *Event, has ipe.Has, to *int64, value []byte) bool {
	if t, err := time.Parse(time.RFC3339, string(unquote(value))); err == nil {
		*to = t.UnixMilli()
		ev.Has |= has
	}
	return value[0] == '"'
}

// word stores the value whose String is the word.
func word[T interface {
	~uint8
	String() string
}](to *T, value []byte) bool {
	s := string(unquote(value))
	for v := T(0); v == 0 || v.String() != ""; v++ {
		if s != "" && v.String() == s {
			*to = v
			return true
		}
	}
	return false
}
