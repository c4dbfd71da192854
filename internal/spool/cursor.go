package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
)

// ErrCursor is returned by LoadCursor for a file that does not hold a whole
// cursor. Whoever starts from the oldest entry then loses nothing.
var ErrCursor = errors.New("damaged cursor file")

// A cursor file is one line: the cursor and the CRC-32C of its text, in hex.
// A mark of a clean end has the same form.
func encodeCursor(c Cursor) []byte {
	text := c.String()
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

const maxCursorFile = 64 // bytes; a cursor file is never as long

func decodeCursor(b []byte) (Cursor, error) {
	text, sum, _ := strings.Cut(string(b), " ")
	if sum != fmt.Sprintf("%08x\n", crc32.Checksum([]byte(text), castagnoli)) {
		return Cursor{}, ErrCursor
	}
	c, err := ParseCursor(text)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

// cursorPath returns the path for the cursor of that name. Every name has a
// file of its own, and no name leaves dir.
func cursorPath(dir, name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-',
			c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	safe := b.String()
	if len(safe) > 200 { // NAME_MAX is 255; "%" and no hex digits: like no short name
		safe = fmt.Sprintf("%s%%-%x", safe[:100], sha256.Sum256([]byte(name)))
	}
	return filepath.Join(dir, safe+".cursor")
}

// SaveCursor writes the cursor of that name (a sink's) to a file in dir,
// replacing it as a whole. It survives the end of the process; with durable
// it is synced and survives a power cut too, which takes as long as the disk
// likes. Without, a power cut may leave an older cursor, whose entries come
// again, or a damaged file.
//
// A cursor may well be durable before the entry it names: when the entry is
// then lost in a power cut, the spool goes on under another id, and a reader
// with this cursor gets all of that.
func SaveCursor(dir, name string, c Cursor, durable bool) error {
	path := cursorPath(dir, name)
	if err := replaceFile(osFS{}, path, encodeCursor(c), durable); err != nil {
		return fmt.Errorf("save cursor %q: %w", name, err)
	}
	return nil
}

// LoadCursor reads the cursor of that name. The error is os.ErrNotExist when
// none was ever saved and ErrCursor when the file is damaged.
func LoadCursor(dir, name string) (Cursor, error) {
	f, err := osFS{}.OpenFile(cursorPath(dir, name), os.O_RDONLY, 0)
	if err != nil {
		return Cursor{}, fmt.Errorf("load cursor %q: %w", name, err)
	}
	defer f.Close()
	c, err := readCursor(f)
	if err != nil {
		return Cursor{}, fmt.Errorf("load cursor %q: %w", name, err)
	}
	return c, nil
}

func readCursor(f File) (Cursor, error) {
	var b [maxCursorFile]byte
	n, _ := f.ReadAt(b[:], 0) // a read that fails leaves a damaged cursor too
	return decodeCursor(b[:n])
}

func replaceFile(fs FS, path string, b []byte, durable bool) error {
	temp := path + ".new"
	f, err := fs.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(temp, path)
	}
	if err != nil {
		fs.Remove(temp)
		return err
	}
	if durable {
		return fs.SyncDir(filepath.Dir(path))
	}
	return nil
}
