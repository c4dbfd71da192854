package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What a query may select by. Every event is compared with all of it, and who
// asks need not be trusted: within these bounds the most expensive selection
// takes a millisecond for the most expensive path.
const (
	maxWords     = 64  // values of each of the lists but paths
	maxGlobs     = 32  // values of paths and not.paths together
	maxWildcards = 128 // in all of these; the characters in a set count as well
)

// bound returns what is too much in the lists of a selection, and how much work
// its globs make. A glob without wildcards makes as much as one wildcard.
func bound(lists map[string]*[]string) (weight int, err error) {
	var globs []string
	for _, key := range slices.Sorted(maps.Keys(lists)) {
		switch list := *lists[key]; {
		case strings.HasSuffix(key, "paths"):
			globs = append(globs, list...)
		case len(list) > maxWords:
			return 0, fmt.Errorf("%s has %d values, at most %d are allowed; leave the key out and select from what comes", key, len(list), maxWords)
		}
	}
	if len(globs) > maxGlobs {
		return 0, fmt.Errorf("paths and not.paths have %d globs, at most %d are allowed; write fewer that match more, or select from what comes", len(globs), maxGlobs)
	}
	wildcards := 0
	for _, g := range globs {
		wildcards += countWildcards(g)
	}
	if wildcards > maxWildcards {
		return 0, fmt.Errorf("paths and not.paths have %d wildcards (*, ? and characters in []), at most %d are allowed; write simpler globs, or select from what comes", wildcards, maxWildcards)
	}
	return wildcards + len(globs), nil
}

// countWildcards counts what makes a glob expensive. It need not know whether
// the glob is a good one.
func countWildcards(glob string) (n int) {
	set := false
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
			if set {
				n++
			}
		case set && c == ']':
			set = false
		case set:
			n++
		case c == '[':
			set = true
			n++
		case c == '*' || c == '?':
			n++
		}
	}
	return n
}
