package report

import (
	"hash/maphash"

	"github.com/ipe-auditd/ipe-auditd/internal/tally"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxFirsts bounds the objects of which it is remembered when they were denied first.
const maxFirsts = 1 << 20

// firsts remembers when objects were denied first. An object is one for an operation
// and a hook: a path, whatever rule of whichever policy denied it, or what the rule
// denied that has no path.
type firsts struct {
	seed  maphash.Seed
	times map[uint64]int64
	full  bool // and there were more
}

func (f *firsts) key(ev *ipe.Event) uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	object := ev.Path
	if object == nil {
		object = ev.Rule
	}
	for _, part := range [...][]byte{ev.Op, ev.Hook, object} {
		h.Write(part)
		h.WriteByte(0)
	}
	return h.Sum64()
}

// observe takes a denial.
func (f *firsts) observe(ev *ipe.Event) {
	if f.times == nil {
		f.seed, f.times = maphash.MakeSeed(), make(map[uint64]int64)
	}
	at := ev.Time
	if ev.Has&ipe.HasStamp == 0 {
		at = 0 // it may be old
	}
	if ev.Kind == ipe.KindRepeated && ev.Has&ipe.HasSince != 0 {
		at = min(at, ev.Since)
	}
	key := f.key(ev)
	first, known := f.times[key]
	switch {
	case !known && len(f.times) >= maxFirsts:
		f.full = true
	case !known || at < first:
		f.times[key] = at
	}
}

// mark says of each group whether its object was denied for the first time since
// then, and returns of how many. What is not remembered is not called new.
func (f *firsts) mark(groups []*tally.Group, since int64) (n int) {
	for _, g := range groups {
		first, known := f.times[f.key(&g.Event)]
		if g.New = known && first >= since; g.New {
			n++
		}
	}
	return n
}
