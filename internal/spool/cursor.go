package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// ErrCursor is returned by LoadCursor for a file that does not hold a whole
// cursor. Whoever starts from the oldest entry then loses nothing.
var ErrCursor = errors.New("damaged cursor file")

// A cursor file is one line: the cursor and the CRC-32C of its text, in hex.
// Leading zeros make all of them equally long, so that one can be written over
// another.
func encodeCursor(c Cursor) []byte {
	b := fmt.Appendf(make([]byte, 0, maxCursorFile), "%v:%020d", c.ID, c.Seq)
	return fmt.Appendf(b, " %08x\n", checksum(b))
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

const cursorSuffix = ".cursor"

const maxCursorFile = 64 // bytes; a cursor file is never as long

func decodeCursor(b []byte) (Cursor, error) {
	text, sum, _ := strings.Cut(string(b), " ")
	if sum != fmt.Sprintf("%08x\n", checksum([]byte(text))) {
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
	return filepath.Join(dir, safe+cursorSuffix)
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
	if err := atomicfile.Write(atomicfile.OS{}, path, encodeCursor(c), 0o600, durable); err != nil {
		return fmt.Errorf("save cursor %q: %w", name, err)
	}
	return nil
}

// replaceInterval is for how long a cursor's file is written over. A file that
// replaces another one is soon on the disk (ext4 begins to write it at once, see
// ext4_rename in fs/ext4/namei.c), one that is written over only when the page
// cache likes, after half a minute. This is how much more may come again after
// a power cut.
const replaceInterval = 5 * time.Second

// CursorFile saves the cursor of one name again and again. It is for one
// goroutine.
type CursorFile struct {
	dir, name string
	file      *os.File    // nil: not open
	info      os.FileInfo // of file
	replaced  time.Time   // when file was new
}

// NewCursorFile returns a CursorFile for what SaveCursor keeps in dir under that
// name. It touches nothing yet.
func NewCursorFile(dir, name string) *CursorFile { return &CursorFile{dir: dir, name: name} }

// Save does what SaveCursor does without durable, but writes over the file that
// it made, as long as that is new and in its place. The end of the process finds
// such a write done or not begun: the kernel heeds signals between two pages only
// (generic_perform_write in mm/filemap.c, iomap_write_iter in fs/iomap).
func (f *CursorFile) Save(c Cursor) error {
	if f.overwrite(encodeCursor(c)) {
		return nil
	}
	f.Close()
	if err := SaveCursor(f.dir, f.name, c, false); err != nil {
		return err
	}
	f.open()
	return nil
}

// overwrite reports whether the cursor's file holds b now. If it cannot be
// written, or is not as we left it, it has to be replaced.
func (f *CursorFile) overwrite(b []byte) bool {
	if f.file == nil || time.Since(f.replaced) >= replaceInterval {
		return false
	}
	if _, err := f.file.WriteAt(b, 0); err != nil {
		return false
	}
	// Behind the write: nothing tells that a file was moved or removed before.
	info, err := os.Lstat(f.file.Name())
	return err == nil && os.SameFile(info, f.info) && info.Size() == int64(len(b))
}

// open opens the file that was saved. If that fails, the next one is replaced.
func (f *CursorFile) open() {
	file, err := os.OpenFile(cursorPath(f.dir, f.name), os.O_WRONLY|atomicfile.NoFollow, 0)
	if err != nil {
		return
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return
	}
	f.file, f.info, f.replaced = file, info, time.Now()
}

// Close closes the file. Everything was saved; another Save opens it again.
func (f *CursorFile) Close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// LoadCursor reads the cursor of that name. The error is os.ErrNotExist when
// none was ever saved and ErrCursor when the file is damaged.
func LoadCursor(dir, name string) (Cursor, error) {
	c, err := loadCursor(cursorPath(dir, name))
	if err != nil {
		return Cursor{}, fmt.Errorf("load cursor %q: %w", name, err)
	}
	return c, nil
}

// LoadCursors returns the cursors of all names in dir, but for those that cannot
// be read.
func LoadCursors(dir string) (all []Cursor) {
	names, _ := os.ReadDir(dir)
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), cursorSuffix) {
			continue
		}
		if c, err := loadCursor(filepath.Join(dir, n.Name())); err == nil {
			all = append(all, c)
		}
	}
	return all
}

func loadCursor(path string) (c Cursor, err error) {
	b, err := atomicfile.Read(atomicfile.OS{}, path, maxCursorFile)
	switch {
	case err == nil:
		return decodeCursor(b)
	case errors.Is(err, atomicfile.ErrNotRegular), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EIO):
		return c, ErrCursor
	}
	return c, err
}
