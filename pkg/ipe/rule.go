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
// quotes or hex, digests in lower case.
func (d *Decoder) property(word []byte) []byte {
	name, value, ok := bytes.Cut(word, []byte{'='})
	if !ok || len(value) == 0 {
		return word
	}
	var isDigest, isString bool
	switch string(name) {
	case "dmverity_roothash", "fsverity_digest":
		isDigest = true
	case "intended_pathname": // Azure Linux
		isString = true
	}
	quoted := value[0] == '"'
	if !quoted && !isDigest && !isString {
		return word
	}

	str, digest := value, []byte(nil)
	if i := bytes.LastIndexByte(value, ':'); i > 0 && (quoted && value[i-1] == '"' || !quoted && isDigest) {
		str, digest = value[:i], value[i:]
	}
	start := len(d.scratch)
	d.scratch = append(d.scratch, name...)
	d.scratch = append(d.scratch, '=')
	if n := len(str); quoted && n > 1 && str[n-1] == '"' {
		d.scratch = append(d.scratch, str[1:n-1]...)
	} else if s, ok := auditrec.AppendHex(d.scratch, str); ok && (isString || digest != nil) {
		d.scratch = s
	} else {
		d.scratch = append(d.scratch, str...)
	}
	if digest != nil {
		d.scratch = append(d.scratch, ':')
		d.scratch = appendLowerHex(d.scratch, digest[1:])
	}
	return d.scratch[start:len(d.scratch):len(d.scratch)]
}

// appendLowerHex appends hex digits in lower case. Text that is no hex is
// appended as it is.
func appendLowerHex(dst, text []byte) []byte {
	start := len(dst)
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		case 'A' <= c && c <= 'F':
			c += 'a' - 'A'
		default:
			return append(dst[:start], text...)
		}
		dst = append(dst, c)
	}
	return dst
}
