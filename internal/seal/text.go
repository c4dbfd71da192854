package seal

import (
	"fmt"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// maxRanges is how many ranges of missing events the text lists.
const maxRanges = 10

// AppendText appends the report for a person.
func (r *Report) AppendText(dst []byte) []byte {
	line := func(format string, args ...any) { dst = append(fmt.Appendf(dst, format, args...), '\n') }
	line("Integrity: %s. Completeness: %s.", word(r.Integrity), word(r.Completeness))
	for _, p := range r.Problems {
		where := text.Name(p.Source)
		if p.Line > 0 {
			where += fmt.Sprintf(":%d", p.Line)
		}
		if p.Seq > 0 {
			where += fmt.Sprintf(" (seq %d)", p.Seq)
		}
		line("ALTERED %s: %s", where, p.Problem)
	}
	if n := r.Altered - uint64(len(r.Problems)); n > 0 {
		line("ALTERED in %d more places", n)
	}
	if r.Foreign > 0 {
		line("%d checkpoints are not signed by the key given, and were not believed", r.Foreign)
	}
	if len(r.Spools) == 0 {
		line("There is no event.")
	}
	for i := range r.Spools {
		s := &r.Spools[i]
		line("")
		line("Spool %s: %s, %s", s.Spool, word(s.Integrity), word(s.Completeness))
		if s.Checkpoints == 0 {
			line("  %d events, but no checkpoint: nothing vouches for them", s.Events+s.Unsealed)
			continue
		}
		line("  %d events; %d checkpoints, the last of which seals up to seq %d", s.Events, s.Checkpoints, s.Size)
		for j, m := range s.Missing {
			if j == maxRanges {
				line("  missing: %d more ranges", len(s.Missing)-j)
				break
			}
			line("  missing: seq %d to %d", m.First, m.Last)
		}
		if s.Uncertain {
			line("  missing: perhaps more, behind the last one that can be read: the spool is damaged, or was not closed in order")
		}
		if s.Lost > 0 {
			line("  %d of the missing were lost before they could be sealed", s.Lost)
		}
		if s.Unsealed > 0 {
			line("  %d events that no checkpoint here vouches for", s.Unsealed)
		}
		if s.Behind > 0 {
			line("  %d events behind the last checkpoint are not sealed yet", s.Behind)
		}
		if s.Repeats > 0 {
			line("  %d repeats of events", s.Repeats)
		}
		if s.Callers > 0 {
			line("  %d lines say something else of who asked than was sealed: altered, or found out too late for one of both", s.Callers)
		}
	}
	return dst
}

func word(s string) string {
	if s == CannotSay {
		return "cannot say"
	}
	return s
}
