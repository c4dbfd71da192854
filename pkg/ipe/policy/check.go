package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"syscall"
)

// Finding is something that is wrong with a policy, or dubious.
type Finding struct {
	Line, Column int // from 1, in bytes

	// Errno is what the kernel refuses the policy with; 0 for a warning, with which
	// it is loaded.
	Errno syscall.Errno

	// Reason says what it is, in one printable line.
	Reason string

	// Unknown is the word that no released kernel takes, op=NAME or NAME=VALUE;
	// empty if it is something else.
	Unknown string
}

// Check returns everything that is to be said about the text of a policy before it
// is signed, in the order of the text:
//
//   - what the kernel refuses: every line, where [Parse] stops at the first, the
//     defaults that are missing, a name that cannot be a directory, and a size that
//     is too large with a usual signature
//   - words that no released kernel takes. Those of vendor kernels and of pending
//     patches are warnings, others are refused.
//   - as warnings, rules that can never match: because the rules above always decide
//     first, because their properties exclude each other, or because no digest is
//     like theirs
//
// The policy is what was understood of the text; nil without a header. It is fit
// for [Policy.Judge] only if nothing is refused.
func Check(text []byte) (*Policy, []Finding) {
	s := scanner{lenient: true, all: true}
	p, err := s.parse(text)
	var list []Finding
	for _, e := range s.errors {
		list = append(list, e.finding())
	}
	for _, u := range s.unknown {
		f := Finding{Line: u.Line, Column: u.Column, Reason: u.String(), Unknown: u.Word}
		if u.Origin == "" {
			f.Errno, f.Reason = syscall.EBADMSG, quote(u.Word)+" is taken by no released kernel (6.12 to 7.3)"
		}
		list = append(list, f)
	}
	if p != nil && !s.headless {
		list = append(list, p.checkName()...)
	}
	if p != nil {
		list = append(list, p.neverMatch(text)...)
	}
	list = append(list, checkSize(text)...)
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if whole, ok := err.(*Error); ok {
		list = append(list, whole.finding())
	}
	if s.headless {
		p = nil
	}
	return p, list
}

func (e *Error) finding() Finding {
	return Finding{Line: e.Line, Column: e.Column, Errno: e.Errno, Reason: e.Reason}
}

// checkName says what is wrong with the name of the policy.
func (p *Policy) checkName() []Finding {
	wrong, ok := CheckName(p.Name).(*Error)
	if !ok {
		return nil
	}
	return []Finding{{Line: p.Line, Column: 1, Errno: wrong.Errno, Reason: wrong.Reason}}
}

// checkSize says where the text becomes too large.
func checkSize(text []byte) []Finding {
	wrong, ok := CheckSize(len(text)).(*Error)
	if !ok {
		return nil
	}
	fits := text[:MaxSigned-SignatureAllowance]
	line, column := 1, len(fits)-bytes.LastIndexAny(fits, "\n\r")
	for l := range Lines(fits) {
		line = l + 1
	}
	return []Finding{{Line: line, Column: max(column, 1), Errno: wrong.Errno, Reason: wrong.Reason + "; what stands from here on is too much"}}
}

// neverMatch returns the rules that can never match.
func (p *Policy) neverMatch(text []byte) []Finding {
	lines := Lines(text)
	var list []Finding
	warn := func(r *Rule, format string, args ...any) {
		column := 1 + len(lines[r.Line-1]) - len(bytes.TrimLeft(lines[r.Line-1], " \t"))
		list = append(list, Finding{Line: r.Line, Column: column, Reason: fmt.Sprintf(format, args...)})
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Default || len(r.Unknown()) > 0 {
			continue
		}
		if why := oddDigest(r); why != "" {
			warn(r, "this rule never matches: %s", why)
			continue
		}
		objects := r.objects()
		if len(objects) == 0 {
			warn(r, "this rule never matches: its properties exclude each other")
			continue
		}
		switch first, always := p.decides(i, objects); {
		case !always:
		case first >= 0:
			warn(r, "this rule never decides: the rule in line %d matches whatever this one does, and stands before it", p.Rules[first].Line)
		default:
			warn(r, "this rule never decides: one of the rules above matches whatever this one does")
		}
	}
	return list
}

// decides reports whether a rule before i matches each of the objects, and which if
// it is the same for all; otherwise first is -1.
func (p *Policy) decides(i int, objects []Facts) (first int, always bool) {
	first = -1
	for n, o := range objects {
		found := slices.IndexFunc(p.Rules[:i], func(r Rule) bool {
			return !r.Default && r.IsFor(p.Rules[i].Op) == True && r.Matches(&o) == True
		})
		switch {
		case found < 0:
			return -1, false
		case n == 0:
			first = found
		case first != found:
			first = -1
		}
	}
	return first, true
}

// objects returns one object of each kind that the rule matches, as far as there
// can be such objects. A digest that the rule does not ask for is one that no other
// rule asks for either, or there is none: any other can only be matched by more
// rules.
func (r *Rule) objects() []Facts {
	root, file := []DigestFact{{Has: False}, {Has: True}}, []DigestFact{{Has: False}, {Has: True}}
	for _, p := range r.Properties {
		switch fact := []DigestFact{{Has: True, Digest: p.Digest}}; p.Key {
		case DMVerityRootHash:
			root = fact
		case FSVerityDigest:
			file = fact
		}
	}
	var list []Facts
	for bits := range 8 {
		for _, root := range root {
			for _, file := range file {
				o := Facts{
					BootVerified: TruthOf(bits&1 != 0), DMVeritySignature: TruthOf(bits&2 != 0), FSVeritySignature: TruthOf(bits&4 != 0),
					DMVerityRootHash: root, FSVerityDigest: file,
				}
				if o.possible() && r.Matches(&o) == True {
					list = append(list, o)
				}
			}
		}
	}
	return list
}

// possible reports whether there can be such an object: no signature without what
// was signed, and nothing of both in the initramfs, whose file system has neither
// a block device nor fs-verity (ipe_unpack_initramfs in security/ipe/hooks.c).
func (f *Facts) possible() bool {
	root, file := f.DMVerityRootHash.Has == True, f.FSVerityDigest.Has == True
	switch {
	case f.DMVeritySignature == True && !root, f.FSVeritySignature == True && !file:
		return false
	case f.BootVerified == True && (root || file):
		return false
	}
	return true
}

// sizes are the lengths of digests in bytes, by the names of algorithms that the
// kernel has (crypto/hash_info.c).
var sizes = map[string]int{"sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}

// oddDigest says why no digest can be like one that the rule asks for; empty if one
// can.
func oddDigest(r *Rule) string {
	for _, p := range r.Properties {
		size, known := sizes[p.Digest.Algorithm]
		switch n := len(p.Digest.Sum); {
		case !p.Key.IsDigest():
		case n == 0:
			return fmt.Sprintf("its %v is empty", p.Key)
		case p.Key == FSVerityDigest && p.Digest.Algorithm != "sha256" && p.Digest.Algorithm != "sha512":
			return fmt.Sprintf("fs-verity has the algorithms sha256 and sha512, not %s", quote(p.Digest.Algorithm))
		case known && n != size:
			return fmt.Sprintf("its %v has %d bytes, and those of %s have %d", p.Key, n, p.Digest.Algorithm, size)
		}
	}
	return ""
}
