package ipe

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// The types of the records that carry IPE's words on kernels since the merge
// (include/uapi/linux/audit.h). The numbers are shared: see [Classify].
const (
	TypeMACStatus      = 1404 // AUDIT_MAC_STATUS: enforcement switched; shared with SELinux
	TypeAccess         = 1420 // AUDIT_IPE_ACCESS
	TypeConfigChange   = 1421 // AUDIT_IPE_CONFIG_CHANGE: another policy is active
	TypePolicyLoad     = 1422 // AUDIT_IPE_POLICY_LOAD
	TypeLandlockAccess = 1423 // AUDIT_LANDLOCK_ACCESS since 6.15; RFC v7: IPE's enforcement
)

// The types of earlier forms.
const (
	typeMACPolicyLoad       = 1403 // AUDIT_MAC_POLICY_LOAD: RFC v8, v9
	typeMACConfigChange     = 1405 // AUDIT_MAC_CONFIG_CHANGE: RFC v8, v9
	typeIntegrityStatus     = 1802 // AUDIT_INTEGRITY_STATUS: before v1
	typeIntegrityPolicyRule = 1807 // AUDIT_INTEGRITY_POLICY_RULE: before v1
	typeIPEv1PolicyLoad     = 1808 // RFC v1 to v6
	typeIPEv1PolicyActivate = 1809
	typeIPEv1Access         = 1810
	typeIPEv1Mode           = 1811
)

// Types returns the record types that a filter for the kernel's socket must
// let pass: all that mainline, the trees derived from it and RFC v7 print, and
// what the kernel says of changes of audit itself. The policy records of v8 and v9
// (1403, 1405) and the forms before v7 are left out, for no kernel in use prints
// them, and SELinux and IMA use their types; they are decoded where they come from
// a file.
func Types() []uint16 {
	return []uint16{TypeMACStatus, TypeAccess, TypeConfigChange, TypePolicyLoad, TypeLandlockAccess, TypeAuditConfigChange, TypeEventListener}
}

// Carries reports whether IPE ever used the record type. Text in records of
// other types is never believed: user space may put there what it likes, also
// a whole IPE record (AUDIT_USER_AVC, msg='...').
func Carries(typ uint16) bool {
	switch typ {
	case TypeMACStatus, TypeAccess, TypeConfigChange, TypePolicyLoad, TypeLandlockAccess,
		typeMACPolicyLoad, typeMACConfigChange, typeIntegrityStatus, typeIntegrityPolicyRule,
		typeIPEv1PolicyLoad, typeIPEv1PolicyActivate, typeIPEv1Access, typeIPEv1Mode:
		return true
	}
	return false
}

// Class says whose record it is.
type Class uint8

// The classes. All but ClassIPE are reasons to skip a record.
const (
	ClassForeign    Class = iota // none of the others
	ClassIPE                     // IPE's, readable or not, or about what becomes of IPE's
	ClassEmpty                   // no body: the twin of a 1404 (ipe_audit_enforce, every release)
	ClassLandlock                // Landlock's, which has 1423 since 6.15
	ClassOtherLSM                // SELinux's 1404, and what else does not say lsm=ipe but should
	ClassLSMContext              // subj_ and obj_ records of the LSM stacking patches: 1420, 1421
)

var classNames = [...]string{"foreign", "ipe", "empty", "landlock", "other_lsm", "lsm_context"}

// String returns the class as a metric's label.
func (c Class) String() string { return name(classNames[:], int(c)) }

// Classify says whose record it is, by its first telling key and never by its
// type alone: 1404, 1420, 1421 and 1423 mean other things on some kernels. The
// text is a record with its stamp or the body alone. Classify says of every
// record what [Decoder.Decode] says, and is as safe to call.
func Classify(typ uint16, text []byte) Class {
	if carriesAuditConfig(typ) {
		return classifyAuditConfig(typ, text)
	}
	if !Carries(typ) {
		return ClassForeign
	}
	_, body, _ := auditrec.CutStamp(text)
	class, _, _ := identify(typ, trim(body))
	return class
}

// trim cuts off blanks on both sides, and what transports append.
func trim(body []byte) []byte {
	for len(body) > 0 && body[0] == ' ' {
		body = body[1:]
	}
	return auditrec.TrimEnd(body)
}

// identify says whose record it is, and of IPE's the kind and the dialect. The
// kind is KindUnparsed where the record leaves it open.
func identify(typ uint16, body []byte) (Class, Kind, *dialect) {
	if len(body) == 0 {
		return ClassEmpty, KindUnparsed, nil
	}
	if body[0] == 'I' {
		for _, dl := range dialects {
			if dl.prefix == "" || !bytes.HasPrefix(body, []byte(dl.prefix)) {
				continue
			}
			if dl.sentence != nil {
				return ClassIPE, dl.kind(typ), dl
			}
			_, kind, _ := weigh(typ, dl.prefix, body[len(dl.prefix):])
			return ClassIPE, kind, dl
		}
		if word := body[:min(len(body), 4)]; string(word) == "IPE" || string(word) == "IPE=" {
			return ClassIPE, KindUnparsed, &ctx0
		}
	}
	return weigh(typ, "", body)
}

// weigh goes through the fields until a key settles of which kind and dialect
// the record is; only dialects with this prefix are asked. Without a prefix the
// record may also be somebody else's.
func weigh(typ uint16, prefix string, body []byte) (class Class, kind Kind, dl *dialect) {
	var next [len(dialects)]int // where to look first
	for len(body) > 0 {
		if body[0] == ' ' {
			body = body[1:]
			continue
		}
		length := -1
		for j, d := range dialects {
			if d.prefix != prefix {
				continue
			}
			i, n := d.find(body, next[j])
			if length = n; i < 0 {
				continue
			}
			next[j] = i + 1
			k := &d.keys[i]
			if k.tells == settles {
				return ClassIPE, k.kind, d
			}
			if guess := d.guess(k, typ); dl == nil && guess != KindUnparsed {
				class, kind, dl = ClassIPE, guess, d
			}
		}
		if length < 0 { // a word that is no field
			_, body, _ = auditrec.CutKey(body)
			continue
		}
		name, rest := body[:length], body[length+1:]
		if length = valueLen(name, rest); length < 0 {
			break
		}
		body = rest[length:]
		if prefix != "" {
			continue
		}
		switch c := owner(name, rest[:length]); c {
		case ClassForeign: // the key says nothing
		case ClassIPE:
			if dl == nil {
				class = ClassIPE
				kind, dl = ofType(typ)
			}
		default:
			return c, KindUnparsed, nil
		}
	}
	if class == ClassForeign && typ == TypeMACStatus {
		class = ClassOtherLSM // the status of a module that does not say its name
	}
	return class, kind, dl
}

// owner says whose record it is that has this field, whatever the dialect.
func owner(name []byte, v auditrec.Value) Class {
	switch {
	case string(name) == "lsm" && !v.Absent():
		if string(v.Text()) == "ipe" {
			return ClassIPE
		}
		return ClassOtherLSM
	case string(name) == "domain", string(name) == "blockers":
		return ClassLandlock
	case bytes.HasPrefix(name, []byte("subj_")), bytes.HasPrefix(name, []byte("obj_")):
		return ClassLSMContext
	}
	return ClassForeign
}

// ofType says of which kind a record of this type is that names IPE and
// nothing else. Of a type that other modules share it cannot be told.
func ofType(typ uint16) (Kind, *dialect) {
	for _, d := range dialects {
		if kind := d.kind(typ); d.prefix == "" && kind != KindUnparsed {
			return kind, d
		}
	}
	return KindUnparsed, &mainline
}

// valueLen returns the length of the value at the front of text, and knows
// where a rule ends.
func valueLen(name, text []byte) int {
	if string(name) == "rule" {
		return ruleLen(text)
	}
	return auditrec.ValueLen(text)
}
