package activepolicy

import (
	"sync/atomic"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const (
	// maxPolicies is how many policies a Table numbers.
	maxPolicies = 4096

	// maxNumber is the largest number: the bit above it says something else in the
	// context of an entry.
	maxNumber uint32 = uint32(entry.ContextOff) - 1

	// maxPolicy is how long name, version and digest of one may be together, in
	// bytes. A name has at most 255 (NAME_MAX, in securityfs).
	maxPolicy = 1024

	// ahead is how many numbers may be given out before the last save is over.
	ahead = 4
)

// Table gives each policy a number, for entries of the spool to carry. A number
// never comes to stand for another policy.
type Table struct {
	// By number; nil where nothing is known of it. Neither the slice nor the
	// policies are changed once they are here, so readers need no lock.
	policies atomic.Pointer[[]*ipe.Policy]

	last    atomic.Uint32 // number that was given, or may have been
	limit   atomic.Uint32 // only lower numbers may be given
	refused atomic.Uint64
	changed chan struct{} // holds a token when there is something to save

	numbers map[string]uint16 // owned by the caller of Number
}

// NewTable returns a Table that ends with the process.
func NewTable() *Table { return newTable(0, maxNumber+1) }

func newTable(last uint16, limit uint32) *Table {
	t := &Table{changed: make(chan struct{}, 1), numbers: make(map[string]uint16)}
	t.last.Store(uint32(last))
	t.limit.Store(limit)
	return t
}

// Policy returns the policy of that number, nil for 0 and for a number of which
// nothing is known. It must not be changed. Any goroutine may call it.
func (t *Table) Policy(number uint16) *ipe.Policy {
	list := t.policies.Load()
	if list == nil || int(number) >= len(*list) {
		return nil
	}
	return (*list)[number]
}

// Number returns the number of p, a new one if it has none. It is 0 for nil, and
// where no number can be given: there are too many policies, or it is longer than
// any that the kernel takes, or the last ones are not saved yet. p must not be
// changed any more. One goroutine at a time may call it.
func (t *Table) Number(p *ipe.Policy) uint16 {
	if p == nil {
		return 0
	}
	key := key(p)
	if n := t.numbers[key]; n != 0 {
		return n
	}
	n := t.last.Load() + 1
	switch {
	case n > maxNumber || len(t.numbers) >= maxPolicies || len(key) > maxPolicy:
		t.refused.Add(1)
		n = 0
	case n >= t.limit.Load():
		n = 0 // before the next save
	default:
		t.last.Store(n)
		t.enter(uint16(n), key, p)
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
	return uint16(n)
}

// Changed has a token when there is something to save.
func (t *Table) Changed() <-chan struct{} { return t.changed }

// Refused returns how often a policy got no number and will get none.
func (t *Table) Refused() uint64 { return t.refused.Load() }

// enter makes p known to readers.
func (t *Table) enter(n uint16, key string, p *ipe.Policy) {
	var old []*ipe.Policy
	if list := t.policies.Load(); list != nil {
		old = *list
	}
	list := make([]*ipe.Policy, max(len(old), int(n)+1))
	copy(list, old)
	list[n] = p
	t.policies.Store(&list)
	t.numbers[key] = n
}

// key tells policies apart. No part has a NUL in it.
func key(p *ipe.Policy) string {
	return string(p.Name) + "\x00" + string(p.Version) + "\x00" + string(p.Digest)
}
