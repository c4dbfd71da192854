package explain

import (
	"fmt"
	"strings"
)

// AppendText appends the explanation for a person.
func (x *Explanation) AppendText(dst []byte) []byte {
	for _, sentence := range x.Summary {
		dst = append(append(dst, sentence...), '\n')
	}
	item := func(label string, lines ...string) {
		for _, line := range lines {
			if line != "" {
				dst = fmt.Appendf(dst, "  %-13s %s\n", label, line)
				label = ""
			}
		}
	}
	item("asked by", x.Who...)
	if p := x.Packages; p != nil {
		item("packages", before("of the path: ", p.Path), before("of the program: ", p.Exe))
	}
	if x.Rule != nil {
		item("decided by", x.Rule.Text, x.Rule.Why)
	}
	if p := x.Policy; p != nil {
		name := strings.TrimSpace(p.Name + " " + p.Version)
		where := ""
		if p.File != "" {
			where = fmt.Sprintf("line %d of %s", x.Rule.Line, p.File)
		}
		item("policy", name, p.Digest, where, p.Note)
	}
	label := "asked before"
	for _, r := range x.Earlier {
		item(label, fmt.Sprintf("line %d: %s", r.Line, r.Text), "  "+r.Why)
		label = ""
	}
	if o := x.Object; o != nil {
		item("object now", o.Reason, strings.Join(o.Facts, ", "))
	}
	if a := x.Allow; a != nil && a.Rule != "" {
		item("allowed by", a.Rule, "  "+a.Where)
	} else if a != nil {
		item("no rule helps", a.Reason, a.Remedy)
	}
	return dst
}

func before(what, text string) string { return of(text != "", what+text) }
