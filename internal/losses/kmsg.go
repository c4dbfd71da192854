package losses

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"
)

// kmsgFinding is what one line of the kernel log says about audit.
type kmsgFinding uint8

const (
	kmsgNothing    kmsgFinding = iota
	kmsgRecord                 // a record, printed because no auditd takes it
	kmsgBacklog                // the queue is full: one record more is being lost, with or without a line that counts it
	kmsgLost                   // audit_lost=N: N records were lost since boot
	kmsgReason                 // why the one just counted was lost
	kmsgOverflow               // as kmsgReason, and the number counts records that listeners did get
	kmsgSuppressed             // so many lines of the bucket were not printed
	kmsgOldest                 // lines before this one are gone
	kmsgOther                  // somebody else has used the bucket
)

// kmsgLine is a line of the kernel log that matters here.
type kmsgLine struct {
	finding kmsgFinding
	seq     uint64        // of the line; grows by one with each line of the kernel
	at      time.Duration // since boot
	number  uint32        // kmsgLost: since boot; kmsgSuppressed: lines
	serial  uint32        // kmsgRecord
	enabled bool          // kmsgRecord: one that comes only while audit is enabled
	retry   bool          // kmsgOverflow: of the retry queue
	audit   bool          // kmsgSuppressed: said as audit asked
}

// printed reports whether the line took one of the bucket's places for audit.
func (l *kmsgLine) printed() bool {
	switch l.finding {
	case kmsgRecord, kmsgBacklog, kmsgLost, kmsgReason, kmsgOverflow:
		return true
	}
	return false
}

// parseKmsg reads one record of /dev/kmsg: "PRI,SEQ,TIME,FLAGS[,...];TEXT"
// (Documentation/ABI/testing/dev-kmsg). Only the kernel itself is believed:
// what processes write there gets a facility other than 0 (kernel/printk/printk.c,
// devkmsg_write).
func parseKmsg(record []byte) kmsgLine {
	head, text, ok := bytes.Cut(record, []byte(";"))
	if !ok {
		return kmsgLine{}
	}
	var fields [3]uint64
	for i := range fields {
		var field []byte
		field, head, _ = bytes.Cut(head, []byte(","))
		n, err := strconv.ParseUint(string(field), 10, 63)
		if err != nil {
			return kmsgLine{}
		}
		fields[i] = n
	}
	if fields[0]>>3 != 0 {
		return kmsgLine{}
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	l := parseText(text)
	if l.finding != kmsgNothing {
		l.seq, l.at = fields[1], time.Duration(fields[2])*time.Microsecond
	}
	return l
}

// parseText reads the text of a line. The texts are those of kernel/audit.c:
// kauditd_printk_skb, audit_log_start, audit_log_lost and the callers of the
// last, which audit_panic prints.
func parseText(text []byte) kmsgLine {
	rest, ok := bytes.CutPrefix(text, []byte("audit: "))
	if !ok {
		return parseUsers(text)
	}
	switch string(rest) {
	case "backlog limit exceeded", "rate limit exceeded", "out of memory in audit_log_start", "out of memory in audit_expand":
		return kmsgLine{finding: kmsgReason}
	case "kauditd hold queue overflow", "kauditd retry queue overflow":
		return kmsgLine{finding: kmsgOverflow, retry: bytes.HasPrefix(rest, []byte("kauditd retry"))}
	}
	if bytes.HasPrefix(rest, []byte("audit_backlog=")) {
		return kmsgLine{finding: kmsgBacklog}
	}
	if number, ok := bytes.CutPrefix(rest, []byte("audit_lost=")); ok {
		number, _, _ = bytes.Cut(number, []byte(" "))
		if n, err := strconv.ParseUint(string(number), 10, 32); err == nil {
			return kmsgLine{finding: kmsgLost, number: uint32(n)}
		}
		return kmsgLine{}
	}
	if record, ok := bytes.CutPrefix(rest, []byte("type=")); ok {
		return parseRecord(record)
	}
	return kmsgLine{}
}

// parseRecord reads "1420 audit(1795440701.244:47): ...".
func parseRecord(text []byte) kmsgLine {
	number, rest, _ := bytes.Cut(text, []byte(" audit("))
	recordType, err := strconv.ParseUint(string(number), 10, 16)
	stamp, _, ok := bytes.Cut(rest, []byte("):"))
	_, serial, found := bytes.Cut(stamp, []byte(":"))
	n, serialErr := strconv.ParseUint(string(serial), 10, 32)
	if err != nil || serialErr != nil || !ok || !found {
		return kmsgLine{}
	}
	return kmsgLine{finding: kmsgRecord, serial: uint32(n), enabled: recordType >= 1100 && recordType < 1400}
}

// parseUsers looks for the users of the bucket: "FUNCTION: N callbacks
// suppressed" (lib/ratelimit.c), said as FUNCTION asks, of what anybody has asked
// before; and the fatal signals of programs (show_signal_msg in
// arch/x86/mm/fault.c, and its like).
func parseUsers(text []byte) kmsgLine {
	if rest, ok := bytes.CutSuffix(text, []byte(" callbacks suppressed")); ok {
		function, number, _ := bytes.Cut(rest, []byte(": "))
		n, err := strconv.ParseUint(string(number), 10, 31) // an int of the kernel
		if err != nil {
			return kmsgLine{}
		}
		switch string(function) {
		case "kauditd_printk_skb", "audit_log_start", "audit_log_lost", "audit_panic":
			return kmsgLine{finding: kmsgSuppressed, number: uint32(n), audit: true}
		case "net_ratelimit": // has a bucket of its own
			return kmsgLine{}
		}
		return kmsgLine{finding: kmsgSuppressed, number: uint32(n)}
	}
	for _, sign := range [...]string{": segfault at ", "general protection fault", "traps: ", "unhandled signal", "potentially unexpected fatal signal", " bad frame in "} {
		if bytes.Contains(text, []byte(sign)) {
			return kmsgLine{finding: kmsgOther}
		}
	}
	return kmsgLine{}
}

// isFirst reports whether a record is the first one since boot: those before
// others are overwritten, or cleared by syslog(2).
func isFirst(record []byte) bool {
	_, rest, _ := bytes.Cut(record, []byte(","))
	return bytes.HasPrefix(rest, []byte("0,"))
}

// OpenKmsg opens the kernel log for following. The kernel asks for CAP_SYSLOG
// when kernel.dmesg_restrict is set, and the file for root.
func OpenKmsg() (*os.File, error) {
	return os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// followKmsg gives what every record in r says to found, first those of
// the records that are there, then, after a call of caughtUp, those that come.
// It returns when r is closed or ends. One read returns one record (printk.c,
// devkmsg_read).
//
// r must be a non-blocking file: that is how the end of the old records is
// noticed.
func followKmsg(r *os.File, found func(kmsgLine), caughtUp func()) error {
	raw, err := r.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 8192) // PRINTK_MESSAGE_MAX is 2048, escapes make it four times as long
	var n int
	var readErr error
	old, first := true, true
	for {
		err := raw.Read(func(fd uintptr) bool {
			for {
				n, readErr = syscall.Read(int(fd), buf)
				if !errors.Is(readErr, syscall.EINTR) {
					break
				}
			}
			if !errors.Is(readErr, syscall.EAGAIN) {
				return true
			}
			if old {
				old = false
				caughtUp()
			}
			return false
		})
		switch {
		case err != nil:
			return err
		case errors.Is(readErr, syscall.EPIPE):
			continue // records were overwritten before we read them; the count is cumulative
		case readErr != nil:
			return os.NewSyscallError("read", readErr)
		case n == 0:
			return io.EOF
		}
		if first && !isFirst(buf[:n]) {
			found(kmsgLine{finding: kmsgOldest})
		}
		first = false
		if line := parseKmsg(buf[:n]); line.finding != kmsgNothing {
			found(line)
		}
	}
}
