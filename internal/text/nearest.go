package text

import (
	"fmt"
	"strings"
)

// DidYouMean returns "; did you mean ...?" when one of names is close to s, and
// otherwise the list of all names, to be appended to a message.
func DidYouMean(s string, names []string) string {
	if n := Nearest(s, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return "; known here: " + strings.Join(names, ", ")
}

// Nearest returns the name that s was probably meant to be, or the empty
// string.
func Nearest(s string, names []string) string {
	folding := strings.NewReplacer("-", "_", " ", "_")
	fold := func(s string) string { return folding.Replace(strings.ToLower(s)) }
	best, bestDistance := "", 3
	for _, n := range names {
		if d := distance(fold(s), fold(n)); d < bestDistance && d <= max(1, len(n)/3) {
			best, bestDistance = n, d
		}
	}
	return best
}

// distance returns how many insertions, deletions, substitutions and swaps of
// neighbours lead from a to b. Of long strings it knows only that they are far
// apart.
func distance(a, b string) int {
	const longest = 40
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var d [longest + 1][longest + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
