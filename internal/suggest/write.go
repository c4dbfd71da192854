package suggest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe/policy"
)

// detail is which comments a policy has. Each level has fewer than the one
// before.
type detail int

const (
	everything  detail = iota
	withoutWhom        // not for whom each rule is, nor what the base allows already
	withoutOurs        // none but those of the base
	bare               // none
)

var detailNames = [...]string{
	withoutWhom: "the comments that say what each rule is for",
	withoutOurs: "the comments of suggest",
	bare:        "all comments, also those of the base",
}

// write makes the text, with as many comments as fit into a signed policy.
func (s *suggester) write() error {
	if s.result.Rules == 0 {
		s.result.Text = s.text(everything)
		return nil
	}
	var full int
	for level := everything; ; level++ {
		text := s.text(level)
		err := policy.CheckSize(len(text))
		if level == everything {
			full = len(text)
		}
		switch {
		case err != nil && level < bare:
			continue
		case err != nil:
			s.result.TooLarge = err
			s.result.Text = s.asComments(text, err)
			return s.verify(text)
		}
		if level > everything {
			s.result.Trimmed = fmt.Sprintf("left out are %s: with them the text has %d bytes, more than the kernel takes with a signature", detailNames[level], full)
		}
		if level >= withoutOurs {
			s.result.Notes = s.lists(nil, withoutWhom)
		}
		s.result.Text = text
		return s.verify(text)
	}
}

// text returns the lines of the base, with the header changed and the additions
// between, then what has no rule.
func (s *suggester) text(level detail) []byte {
	var out []byte
	if s.result.Rules > 0 {
		for i, line := range policy.Lines(s.Base) {
			number := i + 1
			out = s.appendAdditions(out, number, level)
			if number == s.base.Line {
				out = append(out, "policy_name="+s.Name+" policy_version="+s.Version.String()...)
				line = afterHeader(line)
				if bytes.HasPrefix(line, []byte("#")) {
					out = append(out, ' ')
				}
			}
			if level == bare && bytes.ContainsRune(line, '#') {
				line = append(slices.Clone(line[:bytes.IndexByte(line, '#')]), '\n')
			}
			out = append(out, line...)
		}
		if len(out) > 0 && out[len(out)-1] != '\n' {
			out = append(out, '\n')
		}
		out = s.appendAdditions(out, 0, level)
	}
	if level == bare {
		out = withoutEmptyLines(out)
	}
	return s.lists(out, level)
}

// lists appends what became of the denials that have no rule, and what may be
// missing.
func (s *suggester) lists(dst []byte, level detail) []byte {
	if level == everything {
		dst = appendList(dst, "Allowed by the base already:", s.allowed)
	}
	if level <= withoutWhom {
		dst = appendList(dst, "No rule can allow:", s.without)
		dst = appendList(dst, "There may be more than this:", s.Gaps)
	}
	return dst
}

// asComments returns a policy that the kernel would refuse for its size as what
// it is: no policy.
func (s *suggester) asComments(lines []byte, tooLarge error) []byte {
	out := appendComment(nil, "This is no policy, so all of it is comments: "+tooLarge.Error()+".")
	out = appendComment(out, "What would help is a rule that allows more than one file: put files on a")
	out = appendComment(out, "dm-verity volume, which needs one rule (dmverity_roothash=), or sign them, and")
	out = appendComment(out, fmt.Sprintf("use --signature (fsverity_signature=TRUE, dmverity_signature=TRUE). %d of the", s.signed))
	out = appendComment(out, fmt.Sprintf("%d objects here have a signature. Or split the programs over several hosts.", s.result.Helped))
	out = append(out, '\n')
	for line := range bytes.Lines(lines) {
		out = appendComment(out, text.Printable(strings.TrimRight(string(line), "\r\n")))
	}
	return s.lists(out, withoutWhom)
}

func withoutEmptyLines(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			out = append(out, line...)
		}
	}
	return out
}

// afterHeader returns what follows the two words of the header: its comment and
// its end.
func afterHeader(line []byte) []byte {
	i := bytes.IndexAny(line, "#\r\n")
	if i < 0 {
		return nil
	}
	return line[i:]
}

// most is how many objects of one rule are listed.
const most = 20

func (s *suggester) appendAdditions(dst []byte, line int, level detail) []byte {
	for _, a := range s.add[line] {
		if level > everything {
			dst = append(append(dst, a.rule.String()...), '\n')
			continue
		}
		dst = append(dst, '\n')
		for i, d := range a.denials {
			if i == most {
				dst = appendComment(dst, "and "+strconv.Itoa(len(a.denials)-most)+" more")
				break
			}
			dst = appendComment(dst, d)
		}
		if a.broad {
			dst = appendComment(dst, breadth(a.rule.Properties[0].Key))
		}
		if !a.rule.Op.Known() {
			dst = appendComment(dst, policy.UnknownOp(a.rule.Op).String())
		}
		dst = append(append(dst, a.rule.String()...), '\n')
	}
	if line > 0 && len(s.add[line]) > 0 && level == everything {
		dst = append(dst, '\n')
	}
	return dst
}

// breadth says what a rule allows that is for more than one file.
func breadth(key policy.Key) string {
	switch key {
	case policy.DMVerityRootHash:
		return "This allows all that is on the same dm-verity volume."
	case policy.DMVeritySignature:
		return "This allows all that is on any dm-verity volume with a signature."
	}
	return "This allows every file with a built-in signature."
}

func appendList(dst []byte, title string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	if len(dst) > 0 {
		dst = append(dst, '\n')
	}
	dst = appendComment(dst, title)
	for _, item := range list {
		dst = appendComment(dst, "- "+strings.ReplaceAll(item, "\n", "\n  "))
	}
	return dst
}

// appendComment appends text as comments. A line end in it is one of ours:
// untrusted text has none (package text).
func appendComment(dst []byte, text string) []byte {
	for line := range strings.SplitSeq(text, "\n") {
		dst = append(append(append(dst, "# "...), line...), '\n')
	}
	return dst
}
