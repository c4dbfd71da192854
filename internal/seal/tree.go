package seal

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Tree is the right edge of a Merkle tree (RFC 6962 section 2): all that is needed
// to append leaves and to know the root. The zero Tree is empty.
type Tree struct {
	size  uint64
	peaks []tlog.Hash // of its complete subtrees, the largest first
}

// Size returns how many leaves the tree has.
func (t *Tree) Size() uint64 { return t.size }

// Append appends a leaf.
func (t *Tree) Append(l *Leaf) {
	h := tlog.RecordHash(l[:])
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		h = tlog.NodeHash(t.peaks[last], h)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, h)
	t.size++
}

// Root returns the hash of the tree; that of an empty one is all zero.
func (t *Tree) Root() (root tlog.Hash) {
	for i := len(t.peaks) - 1; i >= 0; i-- {
		if i == len(t.peaks)-1 {
			root = t.peaks[i]
		} else {
			root = tlog.NodeHash(t.peaks[i], root)
		}
	}
	return root
}

// clone returns a copy that owns its memory.
func (t *Tree) clone() Tree { return Tree{t.size, append([]tlog.Hash(nil), t.peaks...)} }

// sound reports whether a tree of that size has as many complete subtrees.
func (t *Tree) sound() bool { return bits.OnesCount64(t.size) == len(t.peaks) }
