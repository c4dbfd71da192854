package backfill

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const (
	// maxText is how long the text of a line can be, in bytes: PRINTKRB_RECORD_MAX
	// without the NUL. A line that is as long has lost its end.
	maxText = 1023

	// maxLine is what one read of /dev/kmsg can return: PRINTK_MESSAGE_MAX is 2048,
	// and escapes make a byte four.
	maxLine = 8192

	// maxRecords bounds what is fetched. The log of a kernel has room for less.
	maxRecords = 100_000
)

// Record is a record of the kernel that was found in a log.
type Record struct {
	Type uint16
	Text []byte // with its stamp
	Cut  bool   // the end is missing

	stamp auditrec.Stamp
}

// Log is what a log has.
type Log struct {
	Records []Record

	// suppressed has, for each line that says that others were not printed, how many
	// of Records stand before it.
	suppressed []int

	// Overwritten says that the beginning is missing.
	Overwritten bool
}

// Complete reports whether nothing is known to be missing.
func (l *Log) Complete() bool { return !l.Overwritten && len(l.suppressed) == 0 }

// ReadKmsg reads what is in /dev/kmsg from its beginning to its present end, and
// leaves f at the beginning. f must not block.
func ReadKmsg(f *os.File) (Log, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return Log{}, fmt.Errorf("read the kernel log: %w", err)
	}
	var l Log
	err = raw.Control(func(fd uintptr) {
		if _, err = syscall.Seek(int(fd), 0, io.SeekStart); err != nil {
			return
		}
		l, err = Read(func(p []byte) (int, error) { return syscall.Read(int(fd), p) })
		if _, serr := syscall.Seek(int(fd), 0, io.SeekStart); err == nil {
			err = serr
		}
	})
	if err != nil {
		return l, fmt.Errorf("read the kernel log: %w", os.NewSyscallError("read", err))
	}
	return l, nil
}

// Read takes one line with each call of next, as devkmsg_read of
// kernel/printk/printk.c gives them, until there is none: EAGAIN.
func Read(next func([]byte) (int, error)) (Log, error) {
	var l Log
	buf := make([]byte, maxLine)
	first := true
	for len(l.Records) < maxRecords {
		n, err := next(buf)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EPIPE): // overwritten before it was read
			l.Overwritten = true
			continue
		case errors.Is(err, syscall.EAGAIN), err == nil && n == 0:
			return l, nil
		case err != nil:
			return l, err
		}
		l.line(buf[:n], first)
		first = false
	}
	l.Overwritten = true
	return l, nil
}

// line takes "PRI,SEQ,TIME,FLAGS[,...];TEXT" and further lines of the dictionary
// (Documentation/ABI/testing/dev-kmsg). Only the kernel is believed: what a process
// writes there gets a facility other than 0 (devkmsg_write).
func (l *Log) line(line []byte, first bool) {
	head, text, ok := bytes.Cut(line, []byte(";"))
	if !ok {
		return
	}
	priority, rest, _ := bytes.Cut(head, []byte(","))
	seq, _, _ := bytes.Cut(rest, []byte(","))
	if first && string(seq) != "0" {
		l.Overwritten = true
	}
	if p, ok := auditrec.Uint(priority); !ok || p>>3 != 0 {
		return
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	l.text(unescape(text))
}

// text takes the text of a line.
func (l *Log) text(text []byte) {
	if number, ok := bytes.CutPrefix(text, []byte("kauditd_printk_skb: ")); ok {
		if number, ok = bytes.CutSuffix(number, []byte(" callbacks suppressed")); ok {
			if n, ok := auditrec.Uint(number); ok && n > 0 {
				l.suppressed = append(l.suppressed, len(l.Records))
			}
		}
		return
	}
	rest, ok := bytes.CutPrefix(text, []byte("audit: type="))
	if !ok {
		return
	}
	number, record, ok := bytes.Cut(rest, []byte(" "))
	typ, err := strconv.ParseUint(string(number), 10, 16)
	if !ok || err != nil {
		return
	}
	l.add(uint16(typ), record, len(text) >= maxText)
}

// add adds a record, if it is one that concerns us.
func (l *Log) add(typ uint16, text []byte, cut bool) {
	stamp, _, ok := auditrec.CutStamp(text)
	if !ok || ipe.Classify(typ, text) != ipe.ClassIPE {
		return
	}
	l.Records = append(l.Records, Record{Type: typ, Text: bytes.Clone(text), Cut: cut, stamp: stamp})
}

// unescape returns the bytes that the kernel had: it prints control characters, the
// backslash and what is above 0x7e as \xNN (append_char and msg_print_ext_body of
// kernel/printk/printk.c). It writes over text.
func unescape(text []byte) []byte {
	out := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) && text[i+1] == 'x' {
			if n, err := strconv.ParseUint(string(text[i+2:i+4]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}
