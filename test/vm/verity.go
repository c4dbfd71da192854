package vm

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// verityBlock is the size of data and hash blocks.
const verityBlock = 4096

// VerityTree returns what dm-verity needs to check the data, whose size is a
// multiple of 4096 bytes: the hash tree, and its root hash. The tree is of
// version 1, SHA-256, without salt and superblock (Documentation/admin-guide/
// device-mapper/verity.rst).
func VerityTree(data []byte) (tree []byte, root [sha256.Size]byte) {
	level := data
	for len(level) > verityBlock || len(tree) == 0 {
		var hashes []byte
		for block := range slices.Chunk(level, verityBlock) {
			h := sha256.Sum256(block)
			hashes = append(hashes, h[:]...)
		}
		hashes = append(hashes, make([]byte, -len(hashes)&(verityBlock-1))...)
		tree = append(bytes.Clone(hashes), tree...) // the top comes first
		level = hashes
	}
	return tree, sha256.Sum256(level)
}
