package policy

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// Op is an operation that IPE judges, as policies and records name it
// (security/ipe/policy.h, enum ipe_op_type). An Op may also be one that is not
// known to this version, see [Op.Known].
type Op string

// The operations. OpNone is that of a DEFAULT rule for all of them, and of an
// access for which IPE has no operation: the kernel prints it as UNKNOWN.
const (
	OpNone           Op = ""
	OpExecute        Op = "EXECUTE"
	OpFirmware       Op = "FIRMWARE"
	OpKModule        Op = "KMODULE"
	OpKexecImage     Op = "KEXEC_IMAGE"
	OpKexecInitramfs Op = "KEXEC_INITRAMFS"
	OpPolicy         Op = "POLICY"
	OpX509Cert       Op = "X509_CERT"
)

var ops = [...]Op{OpExecute, OpFirmware, OpKModule, OpKexecImage, OpKexecInitramfs, OpPolicy, OpX509Cert}

// String returns the operation as policies and records have it.
func (o Op) String() string {
	if o == OpNone {
		return "UNKNOWN"
	}
	return string(o)
}

// Known reports whether Linux 6.12 to 7.3 has the operation. OpNone is known.
func (o Op) Known() bool { return o == OpNone || slices.Contains(ops[:], o) }

// ParseOp returns the operation of that name. UNKNOWN is OpNone. It is ok also
// if this version does not know the operation, but a newer or vendor kernel may
// have one of that name.
func ParseOp(name string) (op Op, ok bool) {
	if name == OpNone.String() {
		return OpNone, true
	}
	if op := Op(name); op.Known() && op != OpNone || mayBeOp(name) {
		return op, true
	}
	return OpNone, false
}

// Ops returns all operations that a policy can name, in the kernel's order.
func Ops() []Op { return slices.Clone(ops[:]) }

// Action is what a rule says.
type Action uint8

// The actions. ActionNone is no action: of a judgement, that it is not known.
const (
	ActionNone Action = iota
	Allow
	Deny
)

var actionNames = [...]string{ActionNone: "", Allow: "ALLOW", Deny: "DENY"}

// String returns the action as policies and records have it.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "Action(" + strconv.Itoa(int(a)) + ")"
}

// Key names a property of what is judged.
type Key uint8

// The keys. KeyNone is none of them, KeyOther one that this version does not
// know.
const (
	KeyNone           Key = iota
	BootVerified          // it comes from the initramfs
	DMVerityRootHash      // of the dm-verity device with its file system
	DMVeritySignature     // that root hash has a signature which was verified
	FSVerityDigest        // of the file
	FSVeritySignature     // the file has a built-in signature which was verified
	KeyOther
)

var keyNames = [...]string{
	KeyNone:           "",
	BootVerified:      "boot_verified",
	DMVerityRootHash:  "dmverity_roothash",
	DMVeritySignature: "dmverity_signature",
	FSVerityDigest:    "fsverity_digest",
	FSVeritySignature: "fsverity_signature",
	KeyOther:          "other",
}

// String returns the key as policies and records have it. Of KeyOther that is
// not known, see [Property.Name].
func (k Key) String() string {
	if int(k) < len(keyNames) {
		return keyNames[k]
	}
	return "Key(" + strconv.Itoa(int(k)) + ")"
}

// IsDigest reports whether values of the key are digests; the others are TRUE
// or FALSE.
func (k Key) IsDigest() bool { return k == DMVerityRootHash || k == FSVerityDigest }

// Digest is a digest as a policy has it. The kernel takes any algorithm and any
// length, also none; what no hash has simply never matches.
type Digest struct {
	Algorithm string
	Sum       []byte
}

// Equal reports whether the kernel takes the digests for the same
// (ipe_digest_eval in security/ipe/digest.c).
func (d Digest) Equal(e Digest) bool {
	return d.Algorithm == e.Algorithm && bytes.Equal(d.Sum, e.Sum)
}

// String returns "alg:hex", with lower-case digits.
func (d Digest) String() string { return d.Algorithm + ":" + hex.EncodeToString(d.Sum) }

// Property is what a rule asks of an object: that Key has this value.
type Property struct {
	Key    Key
	Value  bool   // of keys that are TRUE or FALSE
	Digest Digest // of keys that are digests
	Other  string // of KeyOther: NAME=VALUE as written
}

// Name returns the name of the property.
func (p Property) Name() string {
	if p.Key == KeyOther {
		name, _, _ := strings.Cut(p.Other, "=")
		return name
	}
	return p.Key.String()
}

// String returns the property as policies have it.
func (p Property) String() string {
	switch {
	case p.Key == KeyOther:
		return p.Other
	case p.Key.IsDigest():
		return p.Key.String() + "=" + p.Digest.String()
	case p.Value:
		return p.Key.String() + "=TRUE"
	}
	return p.Key.String() + "=FALSE"
}

// Rule is one line of a policy below its header.
type Rule struct {
	// Default says that the rule stands for all that no other rule of Op
	// matches; with OpNone, for all operations that have no default of their
	// own. Such a rule has no properties.
	Default bool

	Op         Op
	Properties []Property // all have to hold; without any, the rule always matches
	Action     Action

	// Line is where the rule stands in the text, from 1; 0 in a policy that was
	// not parsed.
	Line int
}

// String returns the rule as policies have it.
func (r *Rule) String() string { return string(r.append(nil)) }

func (r *Rule) append(dst []byte) []byte {
	if r.Default {
		dst = append(dst, "DEFAULT "...)
	}
	if r.Op != OpNone {
		dst = append(append(append(dst, "op="...), r.Op.String()...), ' ')
	}
	for _, p := range r.Properties {
		dst = append(append(dst, p.String()...), ' ')
	}
	return append(append(dst, "action="...), r.Action.String()...)
}

// Version is the version of a policy: major, minor, revision.
type Version [3]uint16

// String returns the version as the kernel prints it.
func (v Version) String() string { return string(v.append(nil)) }

func (v Version) append(dst []byte) []byte {
	for i, n := range v {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(n), 10)
	}
	return dst
}

// Compare returns -1, 0 or 1: v is older than w, the same, newer. The kernel
// takes an update only if it is newer (ESTALE), and activates no policy that is
// older than the active one (EINVAL); see security/ipe/policy.c.
func (v Version) Compare(w Version) int { return slices.Compare(v[:], w[:]) }

// Next returns the lowest version above v; ok is false if there is none.
func (v Version) Next() (next Version, ok bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i]++; v[i] != 0 {
			return v, true
		}
	}
	return v, false
}

// Policy is a whole policy.
type Policy struct {
	Name    string // any bytes but NUL, blank, tab, line ends and '#'
	Version Version

	// Line is where the header stands in the text, from 1; 0 in a policy that
	// was not parsed.
	Line int

	// Rules are all the rules, DEFAULT or not, in the order of the text.
	Rules []Rule
}

// Default returns the index of the rule that decides when no other rule of op
// matches, or -1. In a policy from Parse, that is only for OpNone and for
// operations that are not known.
func (p *Policy) Default(op Op) int {
	global := -1
	for i := range p.Rules {
		switch r := &p.Rules[i]; {
		case r.Default && r.Op == OpNone:
			global = i
		case r.Default && r.Op == op:
			return i
		}
	}
	return global
}

// AppendText appends the policy as text, one rule a line. Parse reads a policy
// that it returned itself back as the same one, apart from the lines. It never
// fails; the error is for encoding.TextAppender. A policy that cannot be
// written, such as one with a blank in its name, is for Parse to refuse.
func (p *Policy) AppendText(dst []byte) ([]byte, error) {
	dst = append(append(dst, "policy_name="...), p.Name...)
	dst = append(p.Version.append(append(dst, " policy_version="...)), '\n')
	for i := range p.Rules {
		dst = append(p.Rules[i].append(dst), '\n')
	}
	return dst, nil
}
