package policy

import (
	"slices"
	"strings"
	"syscall"
)

// UnknownWord is a word of a policy that no released kernel from 6.12 to 7.3
// takes, but that has the form of an operation or a property.
type UnknownWord struct {
	Line, Column int    // from 1, in bytes
	Word         string // op=NAME, or NAME=VALUE

	// Origin says where the word is known from; empty if it is not.
	Origin string
}

// String returns in one printable line what is to be thought of the word.
func (u UnknownWord) String() string {
	text := quote(u.Word) + " is not known to this version; a newer or vendor kernel may take it"
	if u.Origin != "" {
		text += " (" + u.Origin + ")"
	}
	return text
}

// Refusal returns what a kernel does that does not know the word: it refuses the
// policy with EBADMSG.
func (u UnknownWord) Refusal() *Error {
	return &Error{Line: u.Line, Column: u.Column, Errno: syscall.EBADMSG, Reason: u.String()}
}

// origins says where words are known from that are not in Linux 7.3: the
// operation, or the name of the property with its equals sign.
var origins = map[string]string{
	"op=READ":            azureLinux,
	"op=KERNEL_READ":     azureLinux,
	"intended_pathname=": azureLinux,
	"op=BPF_PROG_LOAD":   bpfPatches,
	"bpf_signature=":     bpfPatches,
	"bpf_keyring=":       bpfPatches,
	"bpf_kernel=":        bpfPatches,
	"anonymous_memory=":  anonPatches,
}

const (
	azureLinux  = "Azure Linux does"
	bpfPatches  = "it stands in the Hornet patches of 2026, which are pending"
	anonPatches = "it stands in patches of 2025, which are pending"
)

// unknownWord describes a word that is not known.
func unknownWord(text string) UnknownWord {
	key := text
	if name, _, ok := strings.Cut(text, "="); ok && name != "op" {
		key = name + "="
	}
	return UnknownWord{Word: text, Origin: origins[key]}
}

// Unknown returns the words of the rule that are not known, without positions.
func (r *Rule) Unknown() []UnknownWord {
	var list []UnknownWord
	if !r.Op.Known() {
		list = append(list, unknownWord("op="+string(r.Op)))
	}
	for _, p := range r.Properties {
		if p.Key == KeyOther {
			list = append(list, unknownWord(p.Other))
		}
	}
	return list
}

// UnknownOp describes an operation that is not known.
func UnknownOp(op Op) UnknownWord { return unknownWord("op=" + string(op)) }

// ParseLenient reads a policy for a kernel that may know more words than this
// version: it accepts what [Parse] accepts, and moreover
//
//	op       = "op=" UPPER { UPPER | DIGIT | "_" }
//	property = LOWER { LOWER | DIGIT | "_" } "=" VALUE
//
// but for the names op, action, policy_name and policy_version, and for known
// properties with another value. The words that are not known are returned, in
// the order of the text; whether a kernel takes them cannot be said. A rule with
// such a word may match or not, whatever is known of an object, and for an
// operation that is not known that holds of all its rules: see [Policy.Judge].
func ParseLenient(text []byte) (*Policy, []UnknownWord, error) {
	s := scanner{lenient: true}
	p, err := s.parse(text)
	if err != nil {
		return nil, nil, err
	}
	return p, s.unknown, nil
}

// maxName bounds the names of words that are not known, in bytes.
const maxName = 64

func mayBeOp(name string) bool { return mayBeName(name, 'A', 'Z') }

func mayBeName(name string, first, last byte) bool {
	for i := range len(name) {
		c := name[i]
		if letter := first <= c && c <= last; !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// mayBeProperty reports whether the word has the form of a property, and is
// none of those that are known.
func mayBeProperty(text string) bool {
	name, value, _ := strings.Cut(text, "=")
	switch {
	case value == "", !mayBeName(name, 'a', 'z'), slices.Contains(keyNames[:KeyOther], name):
		return false
	case name == "op", name == "action", name == "policy_name", name == "policy_version":
		return false
	}
	return true
}

// note keeps an unknown word of the current line.
func (s *scanner) note(w word) {
	u := unknownWord(w.text)
	u.Line, u.Column = s.number, w.offset+1
	s.unknown = append(s.unknown, u)
}

// kernelRead are the operations for which Azure Linux's op=KERNEL_READ stands.
var kernelRead = [...]Op{OpFirmware, OpKModule, OpKexecImage, OpKexecInitramfs, OpPolicy, OpX509Cert}

// IsFor reports whether the rule, or the default of one operation, is for op:
// Unknown when that hangs on an operation that is not known to this version. The
// global default is not meant.
func (r *Rule) IsFor(op Op) Truth {
	switch {
	case r.Op == OpNone || op == OpNone:
		return False // no rule but a DEFAULT
	case r.Op == op && op.Known():
		return True
	case r.Op == op, r.Op == "KERNEL_READ" && slices.Contains(kernelRead[:], op):
		return Unknown
	}
	return False
}
