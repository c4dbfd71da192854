package ipe

import (
	"bytes"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// ruleLen returns the length of the value of a rule field at the front of
// text, its quotes included, or -1 when there is no complete one:
//
//	rule = '"' text ' action=' ('ALLOW' | 'DENY') '"' (' ' | end of text)
//
// It ends at the first such action, quotes inside of it notwithstanding: the
// kernel prints the names of digest algorithms with quotes of their own
// (ipe_digest_audit in security/ipe/digest.c). No string inside of a rule can
// fake the action, for a string with a blank is printed in hex. What follows
// the rule is read as fields: today's kernels print nothing there. A file name
// cannot fake a whole rule field before the real one for the same reason.
func ruleLen(text []byte) int {
	const action = " action="
	if len(text) == 0 || text[0] != '"' {
		return -1
	}
	for end := 1; ; {
		i := bytes.Index(text[end:], []byte(action))
		if i < 0 {
			return -1
		}
		end += i + len(action)
		var n int
		switch rest := text[end:]; {
		case bytes.HasPrefix(rest, []byte(`DENY"`)):
			n = end + len(`DENY"`)
		case bytes.HasPrefix(rest, []byte(`ALLOW"`)):
			n = end + len(`ALLOW"`)
		default:
			continue
		}
		if n == len(text) || text[n] == ' ' {
			return n
		}
	}
}

// readRule reads what ev.Rule says: its kind, its action and its properties.
//
//	rule     = 'DEFAULT action=' ACT             the default of the policy
//	         | 'DEFAULT op=' OP ' action=' ACT   the default of an operation
//	         | 'op=' OP { ' ' property } ' action=' ACT
//	property = NAME '=' (word | untrusted [':' HEX])
//
// (audit_rule and ipe_audit_match in security/ipe/audit.c.) RFC v15 and Azure
// Linux leave out 'op='. Policies have no blanks in values, so blanks separate.
func (d *Decoder) readRule(ev *Event) {
	text := ev.Rule
	i := bytes.LastIndexByte(text, '=')
	if ev.Action = ActionAllow; text[i+1] == 'D' {
		ev.Action = ActionDeny
	}
	text = bytes.TrimRight(text[:i-len(" action")], " ")

	word, rest, more := bytes.Cut(text, []byte{' '})
	if string(word) == "DEFAULT" {
		if ev.RuleKind = RuleGlobalDefault; more {
			ev.RuleKind = RuleOpDefault
		}
		return
	}
	ev.RuleKind = RuleExplicit
	if bytes.IndexByte(word, '=') < 0 {
		word = nil // the operation, printed without op=
	}
	for {
		if len(word) > 0 && !bytes.HasPrefix(word, []byte("op=")) {
			ev.RuleProperties = append(ev.RuleProperties, d.property(word))
		}
		if !more {
			return
		}
		word, rest, more = bytes.Cut(rest, []byte{' '})
	}
}

// property returns a property of a rule as a policy has it: strings without
// quotes or hex, digests in lower case. What has another form stays as it is.
func (d *Decoder) property(word []byte) []byte {
	name, value, _ := bytes.Cut(word, []byte{'='})
	var isDigest, isString bool
	switch string(name) {
	case "dmverity_roothash", "fsverity_digest":
		isDigest = true
	case "intended_pathname": // Azure Linux
		isString = true
	}
	start := len(d.scratch)
	out := append(append(d.scratch, name...), '=')

	colon := max(bytes.LastIndexByte(value, ':'), 0)
	str, digest := value[:colon], value[colon:]
	switch {
	case isQuoted(value):
		out = append(out, value[1:len(value)-1]...)
	case isQuoted(str):
		out = append(out, str[1:len(str)-1]...)
		out = append(out, ':')
		out = appendLowerHex(out, digest[1:])
	case isDigest && len(str) > 0 && str[0] != '"':
		alg, ok := auditrec.AppendHex(out, str)
		if !ok {
			alg = append(out, str...)
		}
		out = append(alg, ':')
		out = appendLowerHex(out, digest[1:])
	case isString:
		decoded, ok := auditrec.AppendHex(out, value)
		if !ok {
			return word
		}
		out = decoded
	default:
		return word
	}
	d.scratch = out
	return out[start:len(out):len(out)]
}

// isQuoted reports whether text is between double quotes.
func isQuoted(text []byte) bool {
	return len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"'
}

// appendLowerHex appends hex digits in lower case. Text that is no hex is
// appended as it is.
func appendLowerHex(dst, text []byte) []byte {
	start := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[start:] {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		case 'A' <= c && c <= 'F':
			dst[start+i] = c + 'a' - 'A'
		default:
			copy(dst[start:], text)
			return dst
		}
	}
	return dst
}
