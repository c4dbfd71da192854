package file

import (
	"bytes"
	"os"
)

// maxTorn bounds the end of a file that repair takes for a torn entry. No entry
// comes near it.
const maxTorn = 4 << 20

// repair makes the file, of size bytes, end after a whole line, and returns its
// size. What is behind the last newline was torn by a crash or a full disk;
// it was not flushed, so it is written again, whole. It is cut off, because
// half an entry would be an error to everyone who parses the file.
//
// Where there is no newline at all, this is hardly a file of ours, and where
// it cannot be cut (chattr +a) we have no choice: the line is ended, so that
// nothing is glued to it.
func repair(f *os.File, size int64) (int64, error) {
	tail := make([]byte, 0, 64<<10)
	for n := int64(1); size > 0; n = min(4*n, maxTorn) {
		n = min(n, size)
		tail = append(tail[:0], make([]byte, n)...)
		if _, err := f.ReadAt(tail, size-n); err != nil {
			return size, err
		}
		if i := bytes.LastIndexByte(tail, '\n'); i >= 0 {
			whole := size - n + int64(i) + 1
			if whole == size || f.Truncate(whole) == nil {
				return whole, nil
			}
			break
		}
		if n == size || n == maxTorn {
			break
		}
	}
	if size == 0 {
		return 0, nil
	}
	_, err := f.Write([]byte("\n"))
	return size + 1, err
}
