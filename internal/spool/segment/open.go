package segment

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// Damage is what a scan finds.
type Damage struct {
	Inner int64 // bytes passed over between sound frames
	Tail  int64 // bytes after the last sound frame
	Torn  bool  // the tail is the beginning of one frame
}

// Ending is where a segment ends.
type Ending struct {
	Damage
	Next  Point   // behind the last sound frame
	Size  int64   // bytes up to there
	Index []Place // of some of the frames, in order
}

// Place is where in a segment a frame begins.
type Place struct {
	At  Point
	Off int64 // in bytes from the beginning of the file
}

// FindEnd looks for the end of the segment of id in f, of size bytes, that begins
// at first. What cannot be read may be there: it is as damaged as anything.
func FindEnd(f io.ReaderAt, id ID, first Point, size int64) Ending {
	var sc scanner
	sc.reset(f, id, first, HeaderSize, size)
	end := Ending{Next: first}
	for n := 0; ; n++ {
		at := sc.pos()
		skipped, err := sc.next()
		if err != nil {
			end.Size = sc.good
			end.Tail, end.Torn = size-sc.good, sc.torn
			if err == io.EOF {
				end.Tail = skipped
			}
			return end
		}
		end.Inner += skipped
		end.Next = sc.frame.Next()
		if n%1024 == 0 && skipped == 0 {
			end.Index = append(end.Index, Place{sc.frame.At, at})
		}
	}
}

// Open opens a segment that somebody may have put there, reads its header,
// and returns them with the size of the file.
func Open(fs atomicfile.FS, path string) (f atomicfile.File, h Header, size int64, err error) {
	f, info, err := atomicfile.OpenRegular(fs, path)
	switch {
	case errors.Is(err, atomicfile.ErrNotRegular):
		return nil, h, 0, fmt.Errorf("%w: %w", ErrHeader, err)
	case err != nil:
		return nil, h, 0, err
	}
	b := make([]byte, HeaderSize)
	if _, err = f.ReadAt(b, 0); err != nil {
		err = fmt.Errorf("%w: %w", ErrHeader, err)
	} else {
		h, err = ParseHeader(b)
	}
	if err != nil {
		f.Close()
		return nil, h, 0, fmt.Errorf("%s: %w", path, err)
	}
	return f, h, info.Size(), nil
}

// TornWrite reports whether a write that did not come to its end may have left a
// file of that size. The kernel heeds a kill between two pages only
// (generic_perform_write in mm/filemap.c, iomap_write_iter in
// fs/iomap/buffered-io.c); a file that ends elsewhere was cut by something else.
func TornWrite(size int64) bool { return size%int64(os.Getpagesize()) == 0 }
