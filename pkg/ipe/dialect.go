package ipe

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
	kind  Kind   // the kind, when tells is presumes or settles
}

// weight is how much a key says about the kind and dialect of its record.
// Kernels print the telling keys first, so that an ordinary record is settled
// by its first key; the others are there for reordered, damaged and shared
// records.
type weight uint8

const (
	tellsNothing weight = iota
	presumesType        // the record is what its type says, if no other key settles it
	presumes            // the record is of this kind, if no other key settles it
	settles             // the record is of this kind
)

// lookup returns the index of name in d.keys, or -1. It begins at from: the
// kernel prints the keys in the order of the table, so the first comparison
// mostly hits.
func (d *dialect) lookup(name []byte, from int) int {
	for i := from; i < len(d.keys); i++ {
		if string(name) == d.keys[i].name {
			return i
		}
	}
	for i := range min(from, len(d.keys)) {
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

	fieldEnd
)

// A set of fields is one word.
const _ = uint64(1) << (fieldEnd - 1)

// belongs has, for every field, a bit for each kind of event in which it
// means what Event says. In another kind of record the same key is an unknown
// one: nobody looks for a path in a policy load.
var belongs = [fieldEnd]uint16{
	fieldOp:           1 << KindAccess,
	fieldHook:         1 << KindAccess,
	fieldEnforcing:    1<<KindAccess | 1<<KindEnforcement,
	fieldOldEnforcing: 1<<KindAccess | 1<<KindEnforcement,
	fieldMode:         1 << KindEnforcement,
	fieldPID:          1 << KindAccess,
	fieldComm:         1 << KindAccess,
	fieldPath:         1 << KindAccess,
	fieldRawPath:      1 << KindAccess,
	fieldDev:          1 << KindAccess,
	fieldRawDev:       1 << KindAccess,
	fieldIno:          1 << KindAccess,
	fieldRule:         1 << KindAccess,
	fieldName:         ofPolicy,
	fieldVersion:      ofPolicy,
	fieldDigest:       ofPolicy,
	fieldDigestAlg:    ofPolicy,
	fieldOldName:      1 << KindPolicyActivate,
	fieldOldVersion:   1 << KindPolicyActivate,
	fieldOldDigest:    1 << KindPolicyActivate,
	fieldOldDigestAlg: 1 << KindPolicyActivate,
	fieldNewDigestAlg: 1 << KindPolicyActivate,
	fieldAUID:         ofKernel,
	fieldUID:          ofKernel,
	fieldSES:          ofKernel,
	fieldLSM:          ofKernel,
	fieldRes:          ofKernel,
	fieldErrno:        1 << KindPolicyLoad,
	fieldEnabled:      1 << KindEnforcement,
	fieldOldEnabled:   1 << KindEnforcement,
}

const (
	ofPolicy = 1<<KindPolicyLoad | 1<<KindPolicyActivate
	ofKernel = 1<<KindAccess | 1<<KindPolicyLoad | 1<<KindPolicyActivate | 1<<KindEnforcement
)
