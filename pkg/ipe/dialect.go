package ipe

import "github.com/ipe-auditd/ipe-auditd/internal/auditrec"

// A dialect is one way in which kernels wrote IPE's records. It is data: the
// keys that the kernel prints and what they mean. To add one, write a file
// with such a value and add a line to dialects.
type dialect struct {
	id     Dialect
	prefix string // what the body begins with, the blank included; "" for none
	keys   []key  // in the order in which the kernel prints them

	// kind says what a record of this type is when the keys leave it open;
	// KindUnparsed when the dialect does not say so.
	kind func(typ uint16) Kind

	// sentence reads a body that is not made of fields, without its prefix.
	// It is nil in dialects whose bodies are.
	sentence func(ev *Event, rest []byte) bool
}

// dialects is asked in this order. Where a prefix begins with another one, the
// longer comes first.
var dialects = [...]*dialect{&mainline, &rfc8, &ctx0, &ctx}

// key is one key of a dialect.
type key struct {
	name  string
	field field
	tells weight // whether the key tells what kind of record this is
	kind  Kind   // the kind it tells; with presumesType KindUnparsed for any
}

// unknown stands for the keys that a dialect does not have.
var unknown key

// weight is how much a key says about the kind and dialect of its record.
// Kernels print the telling keys first, so that an ordinary record is settled
// by its first key; the others are there for reordered, damaged and shared
// records.
type weight uint8

const (
	tellsNothing weight = iota
	presumesType        // the record is of the kind of its type, if no other key settles it
	presumes            // the record is of this kind, if no other key settles it
	settles             // the record is of this kind
)

// guess returns the kind that k lets one presume of a record of this type, or
// KindUnparsed.
func (d *dialect) guess(k *key, typ uint16) Kind {
	switch k.tells {
	case presumes:
		return k.kind
	case presumesType:
		if kind := d.kind(typ); k.kind == KindUnparsed || k.kind == kind {
			return kind
		}
	}
	return KindUnparsed
}

// find returns the length of the key at the front of text and its index in
// d.keys: -1 when the dialect does not have it, and a length of -1 when there is
// no key. It looks at next first, for the kernel prints the keys in the order
// of the table.
func (d *dialect) find(text []byte, next int) (index, length int) {
	if next < len(d.keys) {
		name := d.keys[next].name
		if n := len(name); len(text) > n && text[n] == '=' && string(text[:n]) == name {
			return next, n
		}
	}
	n := auditrec.KeyLen(text)
	if n < 0 {
		return -1, -1
	}
	return d.lookup(text[:n]), n
}

// lookup returns the index of name in d.keys, or -1.
func (d *dialect) lookup(name []byte) int {
	for i := range d.keys {
		if string(name) == d.keys[i].name {
			return i
		}
	}
	return -1
}

// field is what a key of some dialect means.
type field uint8

const (
	fieldUnknown field = iota
	fieldOp
	fieldHook
	fieldEnforcing
	fieldOldEnforcing
	fieldMode // enforce, permissive
	fieldPID
	fieldComm
	fieldPath
	fieldRawPath // between quotes, but not encoded
	fieldDev
	fieldRawDev // neither quoted nor encoded
	fieldIno
	fieldRule
	fieldName
	fieldVersion
	fieldDigest    // alg:hex
	fieldDigestAlg // hex; the key is the algorithm
	fieldOldName
	fieldOldVersion
	fieldOldDigest
	fieldOldDigestAlg // hex; the key is old_ and the algorithm
	fieldNewDigestAlg // hex; the key is new_ and the algorithm
	fieldAUID
	fieldUID
	fieldSES
	fieldLSM
	fieldRes
	fieldErrno
	fieldEnabled // the constant 1
	fieldOldEnabled
)

// fieldSet is a set of fields.
type fieldSet uint64

// wanted has, for every kind of record, the fields that mean there what Event
// says. In another kind of record the same key is an unknown one: nobody looks
// for a path in a policy load.
var wanted = [...]fieldSet{
	KindAccess: ofAnyKind | 1<<fieldOp | 1<<fieldHook | 1<<fieldEnforcing | 1<<fieldOldEnforcing |
		1<<fieldPID | 1<<fieldComm | 1<<fieldPath | 1<<fieldRawPath | 1<<fieldDev | 1<<fieldRawDev |
		1<<fieldIno | 1<<fieldRule,
	KindPolicyLoad: ofAnyKind | ofPolicy | 1<<fieldErrno,
	KindPolicyActivate: ofAnyKind | ofPolicy | 1<<fieldOldName | 1<<fieldOldVersion |
		1<<fieldOldDigest | 1<<fieldOldDigestAlg | 1<<fieldNewDigestAlg,
	KindEnforcement: ofAnyKind | 1<<fieldEnforcing | 1<<fieldOldEnforcing | 1<<fieldMode |
		1<<fieldEnabled | 1<<fieldOldEnabled,
}

const (
	ofAnyKind = 1<<fieldAUID | 1<<fieldUID | 1<<fieldSES | 1<<fieldLSM | 1<<fieldRes
	ofPolicy  = 1<<fieldName | 1<<fieldVersion | 1<<fieldDigest | 1<<fieldDigestAlg
)
