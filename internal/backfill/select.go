package backfill

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// Selection chooses what is to be told.
type Selection struct {
	records []Record
	printed []int // where in records lines were suppressed
	gap     bool  // the beginning of the kernel log is missing, and nothing has it
	index   map[key][]int
	known   []bool // by place in records: told already
	first   int    // in records, the first that the socket got, too; len(records) if there is none
	serial  uint64 // of the first record that the socket got; 0: none
	log     int    // how many of records are from the kernel log, in its order; the others from the journal
}

// key is what the same record has in common wherever it is found.
type key struct {
	typ    uint16
	time   int64
	serial uint64
}

// Select begins with what the kernel log has, and what the journal has beside.
func Select(kmsg, journal *Log) *Selection {
	s := &Selection{records: slices.Clone(kmsg.Records), printed: kmsg.suppressed, log: len(kmsg.Records), index: make(map[key][]int)}
	s.gap = kmsg.Overwritten && len(journal.Records) == 0
	for i := range s.records {
		s.enter(i)
	}
	for i := range journal.Records {
		r := &journal.Records[i]
		switch at := s.find(r.Type, r.Text); {
		case at < 0:
			s.records = append(s.records, *r)
			s.enter(len(s.records) - 1)
		case s.records[at].Cut && !r.Cut:
			s.records[at] = *r // the whole of it
		}
	}
	s.first, s.known = len(s.records), make([]bool, len(s.records))
	return s
}

func (s *Selection) enter(i int) {
	r := &s.records[i]
	k := key{r.Type, r.stamp.Time, r.stamp.Serial}
	s.index[k] = append(s.index[k], i)
}

// find returns where a record is, -1 if it is not there. One that is cut is any
// that begins so.
func (s *Selection) find(typ uint16, text []byte) int {
	stamp, b, ok := auditrec.CutStamp(text)
	if !ok {
		return -1
	}
	for _, i := range s.index[key{typ, stamp.Time, stamp.Serial}] {
		r := &s.records[i]
		own := body(r.Text)
		if bytes.Equal(own, b) || r.Cut && bytes.HasPrefix(b, own) {
			return i
		}
	}
	return -1
}

// Live takes a record that the socket got, of any type, in its order.
func (s *Selection) Live(typ uint16, text []byte) {
	stamp, _, ok := auditrec.CutStamp(text)
	if !ok {
		return
	}
	if s.serial == 0 || stamp.Serial < s.serial {
		s.serial = stamp.Serial
	}
	if i := s.find(typ, text); i >= 0 {
		s.known[i] = true
		if i < s.log {
			s.first = min(s.first, i)
		}
	}
}

// Known takes a record that was told in this boot already.
func (s *Selection) Known(typ uint16, text []byte) {
	if i := s.find(typ, text); i >= 0 {
		s.known[i] = true
	}
}

// Records returns what is to be told, in order, and whether there was more that
// nobody has.
func (s *Selection) Records() (list []Record, missing bool) {
	for i := range s.records {
		r := &s.records[i]
		switch {
		case s.known[i]:
		case i < s.log && i >= s.first:
		case i >= s.log && s.serial > 0 && r.stamp.Serial >= s.serial:
		default:
			list = append(list, *r)
		}
	}
	if len(s.records) > s.log {
		slices.SortStableFunc(list, func(a, b Record) int { return cmp.Compare(a.stamp.Serial, b.stamp.Serial) })
	}
	missing = s.gap
	for _, before := range s.printed {
		missing = missing || before <= s.first
	}
	return list, missing
}
