package seal

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// The words for integrity and completeness.
const (
	Unaltered  = "unaltered"
	Altered    = "altered"
	Complete   = "complete"
	Incomplete = "incomplete"
	CannotSay  = "cannot_say"
)

// maxProblems is how many problems a report lists.
const maxProblems = 100

// Problem is a place where something was altered.
type Problem struct {
	Source  string `json:"source"`
	Line    uint64 `json:"line,omitempty"`
	Spool   string `json:"spool,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	Problem string `json:"problem"`
}

// Range is the numbers from First to Last.
type Range struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
}

// Report is what was found out of everything.
type Report struct {
	Integrity    string     `json:"integrity"`
	Completeness string     `json:"completeness"`
	Spools       []LogState `json:"spools"`
	Altered      uint64     `json:"altered"`  // how many places
	Problems     []Problem  `json:"problems"` // the first of them
	Foreign      uint64     `json:"foreign"`  // checkpoints that none of the keys signed
}

// LogState is what was found out of one spool id.
type LogState struct {
	Spool        string  `json:"spool"`
	Integrity    string  `json:"integrity"`
	Completeness string  `json:"completeness"`
	Checkpoints  int     `json:"checkpoints"`
	Size         uint64  `json:"size"` // the seq up to which the last checkpoint seals
	Events       uint64  `json:"events"`
	Repeats      uint64  `json:"repeats"`   // lines for an event that was there already
	Missing      []Range `json:"missing"`   // seqs that are not there
	Uncertain    bool    `json:"uncertain"` // whether its spool tells that there may have been more
	Lost         uint64  `json:"lost"`      // of them, how many were gone before they could be sealed
	Unsealed     uint64  `json:"unsealed"`  // events that no checkpoint vouches for, but should
	Behind       uint64  `json:"behind"`    // events behind the last checkpoint
	Callers      uint64  `json:"callers"`   // lines that say something else of who asked than was sealed
}

// ExitCode returns 0 when everything is unaltered and complete, 1 when something was
// altered, 3 when it is unaltered but incomplete, and 2 when that cannot be said.
func (r *Report) ExitCode() int {
	switch {
	case r.Integrity == Altered:
		return 1
	case r.Integrity == CannotSay || r.Completeness == CannotSay:
		return 2
	case r.Completeness == Incomplete:
		return 3
	}
	return 0
}

func (r *Report) altered(p Problem) {
	r.Altered++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// Report says what was found out. It may be called once.
func (v *Verifier) Report() *Report {
	r := &v.general
	r.Integrity, r.Completeness = Unaltered, Complete
	r.Spools = []LogState{}
	if r.Problems == nil {
		r.Problems = []Problem{}
	}
	slices.Sort(v.order)
	for _, id := range v.order {
		before := r.Altered
		s := v.judge(r, id, v.logs[id])
		if r.Altered > before {
			s.Integrity = Altered
		}
		r.Spools = append(r.Spools, s)
		if s.Integrity == CannotSay {
			r.Integrity = CannotSay
		}
		if s.Completeness == CannotSay || s.Completeness == Incomplete && r.Completeness == Complete {
			r.Completeness = s.Completeness
		}
	}
	if len(r.Spools) == 0 {
		r.Integrity, r.Completeness = CannotSay, CannotSay
	}
	switch {
	case r.Altered > 0:
		r.Integrity = Altered
	case r.Foreign > 0:
		r.Integrity = CannotSay
	}
	return r
}

// judge compares the events of one spool with its checkpoints.
func (v *Verifier) judge(r *Report, id spool.ID, l *log) LogState {
	s := LogState{Spool: id.String(), Integrity: Unaltered, Completeness: Complete, Checkpoints: len(l.checkpoints), Missing: []Range{}, Uncertain: l.uncertain, Unsealed: l.unnamed}
	altered := func(at seen, seq uint64, why string) {
		p := v.problem(at, seq, why)
		p.Spool = s.Spool
		r.altered(p)
	}
	for _, p := range l.problems {
		p.Spool = s.Spool
		r.altered(p)
	}
	all := v.sealed(l, altered)
	s.Size = all.base + uint64(len(all.leaves))

	if len(l.checkpoints) > 0 {
		known := make(map[origins]bool)
		for _, c := range l.checkpoints {
			known[origins{c.Host, c.Boot}] = true
		}
		for o, at := range l.hosts {
			if !known[o] {
				altered(at, 0, fmt.Sprintf("the line names a host or a boot that no checkpoint has: %q %q", o.host, o.boot))
			}
		}
	}

	slices.SortStableFunc(l.seen, func(a, b seen) int { return cmp.Compare(a.seq, b.seq) })
	next := uint64(1)
	gap := func(to uint64) { // the events from next to the one before to are not there
		if before := min(to-1, all.base); next <= before { // the first checkpoint
			s.Missing = append(s.Missing, Range{next, before})
			next = before + 1
		}
		for seq := next; seq < to; seq++ {
			if leaf := all.of(seq); leaf != nil && *leaf == missing {
				s.Lost++
			} else if leaf != nil && !leaf.isEvent() {
				continue
			}
			if n := len(s.Missing); n > 0 && s.Missing[n-1].Last == seq-1 {
				s.Missing[n-1].Last = seq
			} else {
				s.Missing = append(s.Missing, Range{seq, seq})
			}
		}
		next = to
	}
	for i, e := range l.seen {
		first := i == 0 || l.seen[i-1].seq != e.seq
		if e.late && firstOfSource(l.seen, i) {
			altered(e, e.seq, "the line is out of order")
		}
		if first {
			if e.seq > maxSeq {
				altered(e, e.seq, "no event has such a number")
				continue
			}
			gap(e.seq)
			next = e.seq + 1
			s.Events++
		} else {
			s.Repeats++
		}
		switch {
		case e.seq > s.Size:
			if first {
				s.Behind++
			} else if o := l.seen[i-1]; !o.leaf.same(&e.leaf, o.raw && e.raw) {
				altered(e, e.seq, "the event is here twice, and differs")
			}
		default:
			if leaf := all.of(e.seq); leaf == nil || *leaf == missing {
				s.Unsealed++
			} else if !leaf.same(&e.leaf, e.raw) {
				altered(e, e.seq, "the event is not what was sealed")
			} else if e.line > 0 && !leaf.sameCaller(&e.leaf) {
				s.Callers++
			}
		}
	}
	gap(max(next, s.Size+1))
	if len(s.Missing) > 0 || l.uncertain {
		s.Completeness = Incomplete
	}
	if s.Unsealed > 0 || s.Callers > 0 {
		s.Integrity = CannotSay
	}
	if len(l.checkpoints) == 0 {
		s.Integrity, s.Completeness = CannotSay, CannotSay
	}
	return s
}

// maxSeq is the highest number that is believed: what is missing is found one by one.
const maxSeq = 1 << 36

// firstOfSource reports whether seen[i] is the first occurrence of its event in its
// source.
func firstOfSource(list []seen, i int) bool {
	for j := i - 1; j >= 0 && list[j].seq == list[i].seq; j-- {
		if list[j].source == list[i].source {
			return false
		}
	}
	return true
}

// sealed is what checkpoints seal.
type sealed struct {
	base    uint64 // nothing is known of what is before
	leaves  []Leaf // of the seqs from base+1 on
	covered []bool // whether a checkpoint has the leaf
}

// of returns the leaf of an event, nil where no checkpoint has it.
func (s *sealed) of(seq uint64) *Leaf {
	if i := seq - 1 - s.base; seq > s.base && i < uint64(len(s.leaves)) && s.covered[i] {
		return &s.leaves[i]
	}
	return nil
}

// sealed puts together what the checkpoints seal. Where two contradict each other
// somebody has rewritten the past.
func (v *Verifier) sealed(l *log, altered func(seen, uint64, string)) *sealed {
	slices.SortStableFunc(l.checkpoints, func(a, b checkpoint) int {
		return cmp.Or(cmp.Compare(a.from.size, b.from.size), cmp.Compare(a.Size, b.Size))
	})
	s := new(sealed)
	if len(l.checkpoints) > 0 {
		s.base = l.checkpoints[0].from.size
	}
	for _, c := range l.checkpoints {
		begin := c.from.size - s.base
		if more := int(c.Size-s.base) - len(s.leaves); more > 0 {
			s.leaves = append(s.leaves, make([]Leaf, more)...)
			s.covered = append(s.covered, make([]bool, more)...)
		}
		for i := range c.leaves {
			at := begin + uint64(i)
			if s.covered[at] && s.leaves[at] != c.leaves[i] {
				altered(c.place, s.base+at+1, "two checkpoints contradict each other")
				break
			}
			s.leaves[at], s.covered[at] = c.leaves[i], true
		}
	}
	// The tree at the size of one is the one that another goes on from.
	roots := make(map[uint64]checkpoint)
	for _, c := range l.checkpoints {
		roots[c.Size] = c
	}
	for _, c := range l.checkpoints {
		if before, ok := roots[c.from.size]; ok && before.Root != c.from.Root() {
			altered(c.place, c.from.size, "two checkpoints contradict each other")
		}
	}
	return s
}
