package ledger

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
)

// kmsgFinding is what one line of the kernel log says about audit.
type kmsgFinding uint8

const (
	kmsgNothing      kmsgFinding = iota
	kmsgLost                     // audit_lost=N: N records were lost since boot
	kmsgBacklog                  // the queue is full: one record more is being lost, with or without a line that counts it
	kmsgHoldOverflow             // from now on the number counts records that listeners did get
)

// parseKmsg reads one record of /dev/kmsg: "PRI,SEQ,TIME,FLAGS[,...];TEXT"
// (Documentation/ABI/testing/dev-kmsg). Only the kernel itself is believed:
// what processes write there gets a facility other than 0 (kernel/printk/printk.c,
// devkmsg_write). The texts are those of audit_log_lost, audit_log_start and
// kauditd_hold_skb in kernel/audit.c.
func parseKmsg(record []byte) (kmsgFinding, uint32) {
	head, text, ok := bytes.Cut(record, []byte(";"))
	if !ok {
		return kmsgNothing, 0
	}
	pri, _, _ := bytes.Cut(head, []byte(","))
	if n, err := strconv.ParseUint(string(pri), 10, 32); err != nil || n>>3 != 0 {
		return kmsgNothing, 0
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	text, ok = bytes.CutPrefix(text, []byte("audit: "))
	if !ok {
		return kmsgNothing, 0
	}
	if bytes.Equal(text, []byte("kauditd hold queue overflow")) {
		return kmsgHoldOverflow, 0
	}
	if bytes.HasPrefix(text, []byte("audit_backlog=")) {
		return kmsgBacklog, 0
	}
	number, ok := bytes.CutPrefix(text, []byte("audit_lost="))
	if !ok {
		return kmsgNothing, 0
	}
	number, _, _ = bytes.Cut(number, []byte(" "))
	n, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil {
		return kmsgNothing, 0
	}
	return kmsgLost, uint32(n)
}

// OpenKmsg opens the kernel log for following. The kernel asks for CAP_SYSLOG
// when kernel.dmesg_restrict is set, and the file for root.
func OpenKmsg() (*os.File, error) {
	return os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// followKmsg gives the findings of every record in r to found, first those of
// the records that are there, then, after a call of caughtUp, those that come.
// It returns when r is closed or ends. One read returns one record (printk.c,
// devkmsg_read).
//
// r must be a non-blocking file: that is how the end of the old records is
// noticed.
func followKmsg(r *os.File, found func(kmsgFinding, uint32), caughtUp func()) error {
	raw, err := r.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 8192) // PRINTK_MESSAGE_MAX is 2048, escapes make it four times as long
	var n int
	var readErr error
	old := true
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
		if finding, lost := parseKmsg(buf[:n]); finding != kmsgNothing {
			found(finding, lost)
		}
	}
}
