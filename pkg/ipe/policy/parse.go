package policy

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"syscall"
)

// Parse reads the text of a policy, unsigned. It accepts exactly what the
// kernel accepts (ipe_parse_policy in security/ipe/policy_parser.c); an error
// is an *Error.
//
//	policy     = { empty } header { empty | rule }
//	header     = "policy_name=" NAME blanks "policy_version=" number "." number "." number
//	rule       = "DEFAULT" blanks [ op blanks ] action
//	           | op blanks { property blanks } action
//	op         = "op=" ( "EXECUTE" | "FIRMWARE" | "KMODULE" | "KEXEC_IMAGE" | "KEXEC_INITRAMFS" | "POLICY" | "X509_CERT" )
//	property   = ( "boot_verified=" | "dmverity_signature=" | "fsverity_signature=" ) ( "TRUE" | "FALSE" )
//	           | ( "dmverity_roothash=" | "fsverity_digest=" ) NAME ":" { HEX HEX }
//	action     = "action=" ( "ALLOW" | "DENY" )
//	number     = [ "+" ] DIGIT { DIGIT }, at most 65535
//	blanks     = ( " " | "\t" ) { " " | "\t" }
//
// A line ends at a line feed or a carriage return. What follows a '#' is a
// comment, also within a word. There is one default for all operations, or one
// for each, or both. The text ends at a NUL.
func Parse(text []byte) (*Policy, error) {
	var s scanner
	p, err := s.parse(text)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *scanner) parse(text []byte) (*Policy, error) {
	var p *Policy
	for i, line := range Lines(text) {
		s.number, s.line = i+1, content(line)
		if len(s.line) == 0 {
			continue
		}
		var err *Error
		if p == nil {
			p, err = s.header()
			if err != nil && s.all {
				// Go on as if it were right, to find the other mistakes too.
				s.errors, s.headless = append(s.errors, err), true
				p, err = &Policy{Line: s.number}, nil
				if bytes.HasPrefix(s.line, []byte("op=")) || bytes.HasPrefix(s.line, []byte("DEFAULT")) {
					err = s.rule(p)
				}
			}
		} else {
			err = s.rule(p)
		}
		switch {
		case err == nil:
		case p == nil || !s.all:
			return nil, err
		default:
			s.errors = append(s.errors, err)
			s.blind = s.blind || strings.HasPrefix(string(s.line), "DEFAULT")
		}
	}
	if p == nil {
		return nil, s.fail(0, syscall.EBADMSG, "there is no header: begin with policy_name=NAME policy_version=1.0.0")
	}
	if err := s.defaults(p); err != nil {
		return p, err
	}
	return p, nil
}

// defaults checks that something decides about every operation
// (validate_policy).
func (s *scanner) defaults(p *Policy) error {
	var without []string
	for _, op := range ops {
		if p.Default(op) < 0 && len(p.maybeDefaults(op)) == 0 {
			without = append(without, op.String())
		}
	}
	if without == nil || s.blind {
		return nil
	}
	which := ""
	if len(without) < len(ops) {
		which = "for " + strings.Join(without, ", ") + " "
	}
	return s.fail(0, syscall.EBADMSG, "nothing decides where no rule %smatches: add DEFAULT action=DENY, or a DEFAULT for every operation", which)
}

// Lines returns the lines of a text, each with its end, as Line of rules and
// errors counts them. What follows a NUL is left out. The kernel sees an empty
// line between a carriage return and its line feed; to a person, and here, the
// pair ends one line. The lines view the text.
func Lines(text []byte) [][]byte {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	var lines [][]byte
	for len(text) > 0 {
		end := bytes.IndexAny(text, "\n\r") + 1
		switch {
		case end == 0:
			end = len(text)
		case bytes.HasPrefix(text[end-1:], []byte("\r\n")):
			end++
		}
		lines, text = append(lines, text[:end]), text[end:]
	}
	return lines
}

// content returns what the parser sees of a line: without its comment and the
// blanks at its end.
func content(line []byte) []byte {
	if comment := bytes.IndexByte(line, '#'); comment >= 0 {
		line = line[:comment]
	}
	for len(line) > 0 && isSpace(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

// scanner reads one line at a time.
type scanner struct {
	number int    // of the line, from 1
	line   []byte // its content

	all      bool     // go on behind a rule that is wrong
	errors   []*Error // of those rules
	blind    bool     // one of them was a DEFAULT
	headless bool     // the header could not be read

	lenient bool          // take words that are not known
	unknown []UnknownWord // which those were
}

// isSpace is the kernel's isspace: it knows Latin-1's no-break space
// (lib/ctype.c).
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' || c == 0xa0 }

// notInWords ends a word, its line or the text.
const notInWords = "\x00 \t\n\r#"

// word is a word of a line, and where it begins, in bytes from 0.
type word struct {
	text   string
	offset int
}

// words returns the words of the line: what is between blanks and tabs.
func (s *scanner) words() []word {
	var words []word
	start := 0
	for i := 0; i <= len(s.line); i++ {
		if i < len(s.line) && s.line[i] != ' ' && s.line[i] != '\t' {
			continue
		}
		if i > start {
			words = append(words, word{string(s.line[start:i]), start})
		}
		start = i + 1
	}
	return words
}

// header reads the first line that is not empty.
func (s *scanner) header() (*Policy, *Error) {
	words := s.words()
	p := &Policy{Line: s.number}
	for i, key := range [...]string{"policy_name=", "policy_version="} {
		if i == len(words) {
			return nil, s.fail(len(s.line), syscall.EBADMSG, "the header ends without %s", key)
		}
		w := words[i]
		value, ok := strings.CutPrefix(w.text, key)
		if !ok || value == "" {
			return nil, s.fail(w.offset, syscall.EBADMSG, "%s in place of %s...: the first line is policy_name=NAME policy_version=1.0.0", quote(w.text), key)
		}
		if i == 0 {
			p.Name = value
			continue
		}
		version, errno := parseVersion(value)
		if errno != 0 {
			return nil, s.fail(w.offset+len(key), errno, "%s is no version: it is three numbers up to 65535 with points between", quote(value))
		}
		p.Version = version
	}
	if len(words) > 2 {
		return nil, s.fail(words[2].offset, syscall.EBADMSG, "%s after the header: rules begin on the next line", quote(words[2].text))
	}
	return p, nil
}

// ParseVersion reads a version as a policy may have it. The error is an *Error
// without a position.
func ParseVersion(text string) (Version, error) {
	v, errno := parseVersion(text)
	if errno != 0 {
		return Version{}, &Error{Errno: errno, Reason: fmt.Sprintf("%s is no version: it is three numbers up to 65535 with points between", quote(text))}
	}
	return v, nil
}

// parseVersion mirrors parse_version: the parts are looked at in order, and the
// first one that is wrong decides on the error.
func parseVersion(text string) (v Version, errno syscall.Errno) {
	for i := 0; ; i++ {
		part, rest, more := strings.Cut(text, ".")
		if i == len(v) {
			return Version{}, syscall.EBADMSG
		}
		if v[i], errno = parseNumber(part); errno != 0 {
			return Version{}, errno
		}
		if !more {
			if i < len(v)-1 {
				return Version{}, syscall.EBADMSG
			}
			return v, 0
		}
		text = rest
	}
}

// parseNumber mirrors kstrtou16 with base 10 (lib/kstrtox.c). A number that
// does not fit in 64 bits is out of range whatever follows it; of a smaller one
// the text is checked first.
func parseNumber(text string) (uint16, syscall.Errno) {
	digits := strings.TrimPrefix(text, "+")
	var n uint64
	end := 0
	for ; end < len(digits) && '0' <= digits[end] && digits[end] <= '9'; end++ {
		d := uint64(digits[end] - '0')
		if n > (1<<64-1-d)/10 {
			return 0, syscall.ERANGE
		}
		n = n*10 + d
	}
	switch {
	case end == 0 || end < len(digits):
		return 0, syscall.EINVAL
	case n > 1<<16-1:
		return 0, syscall.ERANGE
	}
	return uint16(n), 0
}

// rule reads one rule and adds it to the policy.
func (s *scanner) rule(p *Policy) *Error {
	words := s.words()
	r := Rule{Line: s.number}
	rest := words
	if rest[0].text == "DEFAULT" && len(rest) > 1 {
		r.Default = true
		rest = rest[1:]
	}
	last := len(rest) - 1
	for i, w := range rest[:last] {
		if i == 0 {
			name, ok := strings.CutPrefix(w.text, "op=")
			op, mayBe := ParseOp(name)
			if !ok || !mayBe || op == OpNone || !op.Known() && !s.lenient {
				return s.fail(w.offset, syscall.EBADMSG, "%s is no operation: a rule begins with op=EXECUTE, FIRMWARE, KMODULE, KEXEC_IMAGE, KEXEC_INITRAMFS, POLICY or X509_CERT", quote(w.text))
			}
			if r.Op = op; !op.Known() {
				s.note(w)
			}
			continue
		}
		if s.lenient && mayBeProperty(w.text) {
			s.note(w)
			r.Properties = append(r.Properties, Property{Key: KeyOther, Other: w.text})
			continue
		}
		property, errno, reason := parseProperty(w.text)
		if errno != 0 {
			return s.fail(w.offset, errno, "%s %s", quote(w.text), reason)
		}
		r.Properties = append(r.Properties, property)
	}
	w := rest[last]
	switch w.text {
	case "action=ALLOW":
		r.Action = Allow
	case "action=DENY":
		r.Action = Deny
	default:
		return s.fail(w.offset, syscall.EBADMSG, "%s in place of the action: a rule ends with action=ALLOW or action=DENY", quote(w.text))
	}
	switch {
	case !r.Default && r.Op == OpNone:
		return s.fail(w.offset, syscall.EBADMSG, "a rule without an operation: begin it with op=, or with DEFAULT")
	case r.Default && len(r.Properties) > 0:
		return s.fail(rest[1].offset, syscall.EBADMSG, "a DEFAULT rule has no properties")
	case r.Default:
		for i := range p.Rules {
			if other := &p.Rules[i]; other.Default && other.Op == r.Op {
				return s.fail(words[0].offset, syscall.EBADMSG, "the same DEFAULT stands in line %d", other.Line)
			}
		}
	}
	p.Rules = append(p.Rules, r)
	return nil
}

// ParseProperty reads one property of a rule, as a policy or the list
// rule_properties of an event has it. Of an event it may be one that this
// version does not know: the kernel that wrote the record does, so it is
// [KeyOther]. The error is an *Error without a position.
func ParseProperty(text string) (Property, error) {
	if strings.ContainsAny(text, notInWords) {
		return Property{}, &Error{Errno: syscall.EBADMSG, Reason: quote(text) + " is no property: it has no blank, line end, NUL or #"}
	}
	if mayBeProperty(text) {
		return Property{Key: KeyOther, Other: text}, nil
	}
	p, errno, reason := parseProperty(text)
	if errno != 0 {
		return Property{}, &Error{Errno: errno, Reason: quote(text) + " " + reason}
	}
	return p, nil
}

// parseProperty mirrors parse_property.
func parseProperty(text string) (p Property, errno syscall.Errno, reason string) {
	name, value, _ := strings.Cut(text, "=")
	for key := BootVerified; key <= FSVeritySignature; key++ {
		if key.String() == name {
			p.Key = key
		}
	}
	switch {
	case p.Key == KeyNone:
		return p, syscall.EBADMSG, "is no property: boot_verified, dmverity_roothash, dmverity_signature, fsverity_digest or fsverity_signature"
	case p.Key.IsDigest():
		p.Digest, errno, reason = parseDigest(value)
		return p, errno, reason
	case value == "TRUE":
		p.Value = true
		return p, 0, ""
	case value == "FALSE":
		return p, 0, ""
	}
	return p, syscall.EBADMSG, "is neither TRUE nor FALSE"
}

// parseDigest mirrors ipe_digest_parse (security/ipe/digest.c). The algorithm
// ends at the first colon and may have any name.
func parseDigest(text string) (d Digest, errno syscall.Errno, reason string) {
	algorithm, digits, ok := strings.Cut(text, ":")
	if !ok {
		return d, syscall.EBADMSG, "has no algorithm: a digest is written sha256:HEX"
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return d, syscall.EINVAL, "has no digest of pairs of hex digits"
	}
	return Digest{Algorithm: algorithm, Sum: sum}, 0, ""
}

// CheckName reports what the kernel does with a policy of this name when it
// makes a directory in securityfs for it, which is after the text was parsed:
// EACCES or ENAMETOOLONG. It also refuses a name that no text can hold, with
// EBADMSG. The error is an *Error without a position.
func CheckName(name string) error {
	var e Error
	switch {
	case name == "":
		e = Error{Errno: syscall.EBADMSG, Reason: "the name of a policy is empty"}
	case strings.ContainsAny(name, notInWords):
		e = Error{Errno: syscall.EBADMSG, Reason: quote(name) + " is no name of a policy: it has no blank, line end, NUL or #"}
	case strings.Contains(name, "/"), name == ".", name == "..":
		e = Error{Errno: syscall.EACCES, Reason: quote(name) + " is no name of a policy: it names a directory in securityfs"}
	case len(name) > 255: // NAME_MAX
		e = Error{Errno: syscall.ENAMETOOLONG, Reason: "the name of a policy has at most 255 bytes"}
	default:
		return nil
	}
	return &e
}
