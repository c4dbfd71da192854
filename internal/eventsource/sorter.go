package eventsource

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// keyLen is how many bytes at the front of a record it is sorted by.
const keyLen = 36

// sorter sorts records, more of them than there is memory for: what does not fit
// goes to a temporary file, which has no name and ends with the process.
//
// First all records are added, then [sorter.sort] is called once, then they come
// out of [sorter.next].
type sorter struct {
	bound int // bytes of records in memory, below 4 GiB

	buf []byte   // records, each behind its length
	at  []uint32 // where each of them is

	log    *os.File // records that did not fit, in the order in which they came
	logged int64    // bytes in it
	runs   *os.File // the same, sorted, a run of as many as fit behind the other

	merge mergeHeap // the runs, once sorted
	taken int       // how many of at were returned, when there are none
}

// add adds a record of at least keyLen bytes.
func (s *sorter) add(rec []byte) error {
	if len(s.buf) > 0 && len(s.buf)+len(rec)+binary.MaxVarintLen32 > s.bound {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.put(rec)
	return nil
}

func (s *sorter) put(rec []byte) {
	s.at = append(s.at, uint32(len(s.buf)))
	s.buf = append(binary.AppendUvarint(s.buf, uint64(len(rec))), rec...)
}

// spill moves what is in memory to the log.
func (s *sorter) spill() (err error) {
	if s.log == nil {
		if s.log, err = tempFile(); err != nil {
			return err
		}
	}
	if _, err := s.log.Write(s.buf); err != nil {
		return fmt.Errorf("write what does not fit in memory: %w", err)
	}
	s.logged += int64(len(s.buf))
	s.buf, s.at = s.buf[:0], s.at[:0]
	return nil
}

// tempFile returns a file without a name in $TMPDIR, or in /var/tmp, which is
// meant for what is large and, unlike /tmp, on a disk.
func tempFile() (*os.File, error) {
	dir := cmp.Or(os.Getenv("TMPDIR"), "/var/tmp")
	f, err := os.CreateTemp(dir, "ipe-auditd-")
	if err != nil && os.Getenv("TMPDIR") == "" {
		f, err = os.CreateTemp("", "ipe-auditd-")
	}
	if err != nil {
		return nil, fmt.Errorf("open a temporary file for what does not fit in memory (TMPDIR says where): %w", err)
	}
	return f, os.Remove(f.Name())
}

// sort sorts the records by their first bytes. Before that it calls edit for each,
// which may change those.
func (s *sorter) sort(edit func(rec []byte)) error {
	if s.log == nil {
		s.sortBuf(edit)
		return nil
	}
	err := s.spill()
	if err == nil {
		_, err = s.log.Seek(0, io.SeekStart)
	}
	if err == nil {
		s.runs, err = tempFile()
	}
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.log, 256<<10)
	out := bufio.NewWriterSize(s.runs, 256<<10)
	var start, end int64
	flush := func() error {
		s.sortBuf(edit)
		for _, at := range s.at {
			n, err := out.Write(s.whole(at))
			end += int64(n)
			if err != nil {
				return fmt.Errorf("write what does not fit in memory: %w", err)
			}
		}
		s.merge = append(s.merge, &run{r: bufio.NewReaderSize(io.NewSectionReader(s.runs, start, end-start), 64<<10)})
		start = end
		s.buf, s.at = s.buf[:0], s.at[:0]
		return nil
	}
	var rec []byte
	for {
		rec, err = readRecord(in, rec)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read what did not fit in memory: %w", err)
		}
		if len(s.buf) > 0 && len(s.buf)+len(rec)+binary.MaxVarintLen32 > s.bound {
			if err := flush(); err != nil {
				return err
			}
		}
		s.put(rec)
	}
	if err := errors.Join(flush(), out.Flush(), s.log.Close()); err != nil {
		return err
	}
	s.log, s.buf, s.at = nil, nil, nil
	full := s.merge[:0]
	for _, r := range s.merge {
		ok, err := r.advance()
		if err != nil {
			return err
		} else if ok {
			full = append(full, r)
		}
	}
	s.merge = full
	heap.Init(&s.merge)
	return nil
}

func (s *sorter) sortBuf(edit func(rec []byte)) {
	for _, at := range s.at {
		edit(s.rec(at))
	}
	slices.SortFunc(s.at, func(a, b uint32) int { return bytes.Compare(s.rec(a), s.rec(b)) })
}

// rec returns the record at a place of buf.
func (s *sorter) rec(at uint32) []byte {
	n, l := binary.Uvarint(s.buf[at:])
	return s.buf[int(at)+l : int(at)+l+int(n)]
}

// whole returns the record with its length before it.
func (s *sorter) whole(at uint32) []byte {
	n, l := binary.Uvarint(s.buf[at:])
	return s.buf[at : int(at)+l+int(n)]
}

// next returns the next record, which lives until the next call, and nil behind
// the last one.
func (s *sorter) next() ([]byte, error) {
	if s.runs == nil {
		if s.taken == len(s.at) {
			return nil, nil
		}
		s.taken++
		return s.rec(s.at[s.taken-1]), nil
	}
	if len(s.merge) == 0 {
		return nil, nil
	}
	r := s.merge[0]
	if r.given {
		switch ok, err := r.advance(); {
		case err != nil:
			return nil, err
		case ok:
			heap.Fix(&s.merge, 0)
		default:
			heap.Pop(&s.merge)
		}
		if len(s.merge) == 0 {
			return nil, nil
		}
		r = s.merge[0]
	}
	r.given = true
	return r.rec, nil
}

// close gives the temporary files back.
func (s *sorter) close() {
	for _, f := range []*os.File{s.log, s.runs} {
		if f != nil {
			f.Close()
		}
	}
	*s = sorter{}
}

// readRecord reads a record into buf, or a larger one.
func readRecord(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n, n+n/2)
	}
	buf = buf[:n]
	_, err = io.ReadFull(r, buf)
	return buf, err
}

// run is a sorted part of a file, with its next record.
type run struct {
	r     *bufio.Reader
	rec   []byte
	given bool // rec was returned by next
}

// advance reads the next record, and reports whether there was one.
func (r *run) advance() (bool, error) {
	r.given = false
	rec, err := readRecord(r.r, r.rec)
	r.rec = rec
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read what did not fit in memory: %w", err)
	}
	return true, nil
}

// mergeHeap has the run with the least record first.
type mergeHeap []*run

func (h mergeHeap) Len() int           { return len(h) }
func (h mergeHeap) Less(i, j int) bool { return bytes.Compare(h[i].rec, h[j].rec) < 0 }
func (h mergeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *mergeHeap) Push(x any)        { *h = append(*h, x.(*run)) }
func (h *mergeHeap) Pop() any {
	old := *h
	r := old[len(old)-1]
	*h = old[:len(old)-1]
	return r
}
