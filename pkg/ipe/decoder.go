package ipe

import (
	"bytes"
	"math"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// Decoder turns records into events. The zero value is ready to use. It holds
// the scratch space of what has to be unescaped, as much as the longest record
// was long. One goroutine may use it at a time.
type Decoder struct {
	scratch []byte
	argv    bool // the Proctitle that Join has given the event is from a TypeExecve
}

// Decode reads one record of the given type into ev and returns whose record
// it is. The text is as received, with its stamp, or a body alone: without a
// valid stamp the whole text is the body. Blanks around the body, and NULs and
// line ends behind it, do not matter.
//
// With [ClassIPE] ev is filled. A record that is IPE's but cannot be read is
// of [KindUnparsed] and has only its type, dialect, stamp and text: an access
// without a complete rule, for the rule is what tells the verdict; any record
// with a word that is no field or a quote that never ends; and one that does
// not say of which kind it is. With any other class ev means nothing.
//
// The event views text and the decoder's scratch space until text is
// overwritten or the next Decode. Decode does not allocate once its lists and
// its scratch space are large enough, and it keeps no reference to text.
func (d *Decoder) Decode(ev *Event, typ uint16, text []byte) Class {
	ev.Reset()
	if carriesAuditConfig(typ) {
		return d.auditConfig(ev, typ, text)
	}
	if !Carries(typ) {
		return ClassForeign
	}
	stamp, body, stamped := auditrec.CutStamp(text)
	body = trim(body)
	class, kind, dl := identify(typ, body)
	if class != ClassIPE {
		return class
	}

	ev.Kind, ev.Dialect = kind, dl.id
	body = body[min(len(dl.prefix), len(body)):]
	if !d.read(ev, dl, body) {
		ev.Reset()
	}
	ev.Type = typ
	ev.Dialect = dl.id
	ev.Raw = text
	if stamped {
		ev.Has |= HasStamp
		ev.Time, ev.Serial = stamp.Time, stamp.Serial
	}
	return ClassIPE
}

// read reads the body of a record of ev.Kind and reports whether it could.
func (d *Decoder) read(ev *Event, dl *dialect, body []byte) bool {
	switch {
	case ev.Kind == KindUnparsed:
		return false
	case dl.sentence != nil:
		return dl.sentence(ev, body)
	case !d.readFields(ev, dl, body):
		return false
	case ev.Kind != KindAccess:
		return true
	case ev.Rule == nil:
		return false
	}
	d.readRule(ev)
	ev.Verdict = verdict(ev.Action, ev.Enforcing)
	return true
}

// verdict says what became of an access.
func verdict(a Action, enforcing Bool) Verdict {
	switch {
	case a == ActionAllow:
		return VerdictAllowed
	case enforcing == True:
		return VerdictDenied
	case enforcing == False:
		return VerdictWouldDeny
	}
	return VerdictUnknown
}

// readFields reads all the fields of body, and reports whether body consists
// of fields. Of a key that is there twice the first counts; the other, a key
// that the dialect does not have, and one whose value cannot be what it should
// be are kept in Extra.
func (d *Decoder) readFields(ev *Event, dl *dialect, body []byte) bool {
	d.reserve(len(body))
	want := wanted[ev.Kind]
	if dl == &mainline && ev.Kind == KindAccess {
		var read fieldSet
		read, body = d.readOrdinary(ev, body)
		want &^= read
	}
	next := 0 // where in dl.keys to look first
	for at := 0; at < len(body); {
		if body[at] == ' ' {
			at++
			continue
		}
		i, n := dl.find(body[at:], next)
		if n < 0 {
			return false
		}
		k := &unknown
		if i >= 0 {
			k, next = &dl.keys[i], i+1
		}
		if want&(1<<k.field) == 0 {
			if seen := wanted[ev.Kind] &^ want; seen&(1<<fieldRawPath) != 0 && seen&(1<<k.field) != 0 {
				return false // a raw path can hold fields: nobody can tell which are the kernel's
			}
			k = &unknown
		}
		want &^= 1 << k.field
		name, rest := body[at:at+n], body[at+n+1:]
		length := valueLen(name, rest)
		if length < 0 {
			return false
		}
		if v := auditrec.Value(rest[:length]); !d.set(ev, k, v) {
			ev.Extra = append(ev.Extra, KeyValue{name, v})
		}
		at += n + 1 + length
	}
	return true
}

// reserve empties the scratch space and makes room for what a record of n
// bytes can need. Nothing is decoded to more bytes than it was printed in, so
// the scratch space never moves while views of it are out.
func (d *Decoder) reserve(n int) {
	if cap(d.scratch) < n {
		d.scratch = make([]byte, 0, max(n, 4096))
	}
	d.scratch = d.scratch[:0]
}

// set stores the value of a field, and reports whether the value is one that
// the field can have.
func (d *Decoder) set(ev *Event, k *key, v auditrec.Value) bool {
	if v.Absent() && k.field != fieldUnknown {
		return true
	}
	switch k.field {
	case fieldUnknown:
		return false
	case fieldOp:
		ev.Op = v.Text()
	case fieldHook:
		ev.Hook = v.Text()
	case fieldEnforcing:
		return setBool(&ev.Enforcing, v)
	case fieldOldEnforcing:
		return setBool(&ev.OldEnforcing, v)
	case fieldMode:
		switch string(v) {
		case "enforce":
			ev.Enforcing = True
		case "permissive":
			ev.Enforcing = False
		default:
			return false
		}
	case fieldPID:
		return setUint(ev, HasPID, &ev.PID, v)
	case fieldComm:
		ev.Comm = d.untrusted(ev, v)
	case fieldPath:
		ev.Path = d.untrusted(ev, v)
	case fieldRawPath:
		if !v.Quoted() { // ERR(-2), NULL
			return false
		}
		ev.Path = v.Text()
	case fieldDev:
		ev.Dev = d.untrusted(ev, v)
	case fieldRawDev:
		ev.Dev = v.Text()
	case fieldIno:
		return setUint(ev, HasIno, &ev.Ino, v)
	case fieldRule:
		ev.Rule = v.Text()
	case fieldName:
		ev.Policy.Name = v.Text()
	case fieldVersion:
		ev.Policy.Version = v.Text()
	case fieldDigest:
		ev.Policy.Digest = d.digest(v.Text())
	case fieldDigestAlg:
		ev.Policy.Digest = d.digestOf(k.name, v.Text())
	case fieldOldName:
		ev.OldPolicy.Name = v.Text()
	case fieldOldVersion:
		ev.OldPolicy.Version = v.Text()
	case fieldOldDigest:
		ev.OldPolicy.Digest = d.digest(v.Text())
	case fieldOldDigestAlg:
		ev.OldPolicy.Digest = d.digestOf(k.name[len("old_"):], v.Text())
	case fieldNewDigestAlg:
		ev.Policy.Digest = d.digestOf(k.name[len("new_"):], v.Text())
	case fieldAUID:
		return setID(ev, HasAUID, &ev.AUID, v)
	case fieldUID:
		return setID(ev, HasUID, &ev.UID, v)
	case fieldSES:
		return setID(ev, HasSES, &ev.SES, v)
	case fieldLSM:
		ev.LSM = v.Text()
	case fieldRes:
		return setBool(&ev.Res, v)
	case fieldErrno:
		return setInt(ev, HasErrno, &ev.Errno, v)
	case fieldEnabled, fieldOldEnabled:
		return string(v) == "1"
	}
	return true
}

// plain returns a string that is printed as it is, with or without quotes; nil
// when it is absent.
func plain(v auditrec.Value) []byte {
	if v.Absent() {
		return nil
	}
	return v.Text()
}

// untrusted returns an untrusted string: what is between the quotes, or what
// the hex digits spell. Bare text that is no upper-case hex is not from
// audit_log_untrustedstring: some kernel printed the string as it is, and so
// it is taken. The RFC's kernels printed strings with a fixed length, garbage
// behind the first NUL.
func (d *Decoder) untrusted(ev *Event, v auditrec.Value) []byte {
	if v.Quoted() || v.Absent() {
		return plain(v)
	}
	start := len(d.scratch)
	s, ok := auditrec.AppendHex(d.scratch, v)
	if !ok {
		return v
	}
	d.scratch = s
	str := s[start:len(s):len(s)]
	if ev.Dialect == DialectRFC {
		str, _, _ = bytes.Cut(str, []byte{0})
	}
	return str
}

// digest returns a digest printed as alg:HEX with its digits in lower case.
// What is not of this form stays as it is.
func (d *Decoder) digest(text []byte) []byte {
	i := bytes.IndexByte(text, ':')
	start := len(d.scratch)
	d.scratch = append(d.scratch, text[:i+1]...)
	return d.appendDigest(start, text[i+1:])
}

// digestOf returns a digest printed as HEX in the form of digest.
func (d *Decoder) digestOf(alg string, hex []byte) []byte {
	start := len(d.scratch)
	d.scratch = append(d.scratch, alg...)
	d.scratch = append(d.scratch, ':')
	return d.appendDigest(start, hex)
}

func (d *Decoder) appendDigest(start int, hex []byte) []byte {
	d.scratch = appendLowerHex(d.scratch, hex)
	return d.scratch[start:len(d.scratch):len(d.scratch)]
}

func setBool(b *Bool, v auditrec.Value) bool {
	switch string(v) {
	case "0":
		*b = False
	case "1":
		*b = True
	default:
		return false
	}
	return true
}

func setUint(ev *Event, has Has, n *uint64, v auditrec.Value) bool {
	u, ok := auditrec.Uint(v)
	if ok {
		*n = u
		ev.Has |= has
	}
	return ok
}

func setInt(ev *Event, has Has, n *int64, v auditrec.Value) bool {
	i, ok := auditrec.Int(v)
	if ok {
		*n = i
		ev.Has |= has
	}
	return ok
}

// setID stores a user or session id. The largest number stands for unset, as
// in AUDIT_UID_UNSET and AUDIT_SID_UNSET of include/uapi/linux/audit.h.
func setID(ev *Event, has Has, n *uint32, v auditrec.Value) bool {
	u, ok := auditrec.Uint(v)
	switch {
	case !ok || u > math.MaxUint32:
		return false
	case u < math.MaxUint32:
		*n = uint32(u)
		ev.Has |= has
	}
	return true
}
