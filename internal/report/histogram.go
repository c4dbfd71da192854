package report

import (
	"maps"
	"slices"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The bounds of a histogram.
const (
	maxBins   = 512 // that are kept, where something is in each
	shownBins = 120 // from the first to the last
)

// binWidths are the widths of bins in milliseconds, each a multiple of the one
// before, so that bins can be put together. Wider ones double the last.
var binWidths = [...]int64{1e3, 5e3, 15e3, 60e3, 300e3, 900e3, 3600e3, 3 * 3600e3, 6 * 3600e3, 24 * 3600e3, 7 * 24 * 3600e3}

// histogram counts accesses over time, in bounded memory: where there are too
// many bins they become wider. Events may come in any order. The zero histogram
// is empty.
type histogram struct {
	width int64 // of a bin, in milliseconds; 0 for the first of binWidths
	bins  map[int64]*[5]uint64
}

// add counts n accesses at a time.
func (h *histogram) add(at int64, v ipe.Verdict, n uint64) {
	if h.width == 0 {
		h.width, h.bins = binWidths[0], make(map[int64]*[5]uint64)
	}
	key := floorDiv(at, h.width)
	bin := h.bins[key]
	if bin == nil {
		for len(h.bins) >= maxBins {
			h.widen()
		}
		key = floorDiv(at, h.width)
		if bin = h.bins[key]; bin == nil {
			bin = new([5]uint64)
			h.bins[key] = bin
		}
	}
	bin[v] = eventsource.Sum(bin[v], n)
}

// widen makes the bins wider.
func (h *histogram) widen() {
	wider := 2 * h.width
	if i := slices.Index(binWidths[:], h.width); i >= 0 && i < len(binWidths)-1 {
		wider = binWidths[i+1]
	}
	was := h.bins
	h.bins = make(map[int64]*[5]uint64, len(was))
	for key, bin := range was {
		to := h.bins[floorDiv(key*h.width, wider)]
		if to == nil {
			to = new([5]uint64)
			h.bins[floorDiv(key*h.width, wider)] = to
		}
		for v, n := range bin {
			to[v] = eventsource.Sum(to[v], n)
		}
	}
	h.width = wider
}

// bin counts the accesses of one width of time.
type bin struct {
	from     int64 // in milliseconds since 1970 UTC
	verdicts [5]uint64
}

// list returns the bins in which something is, the first first, as wide as it
// takes for all of them to fit on a page.
func (h *histogram) list() []bin {
	var list []bin
	for {
		keys := slices.Sorted(maps.Keys(h.bins))
		if len(keys) > 0 && keys[len(keys)-1]-keys[0] >= shownBins {
			h.widen()
			continue
		}
		for _, key := range keys {
			list = append(list, bin{key * h.width, *h.bins[key]})
		}
		return list
	}
}

// floorDiv is a/b towards the past.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
