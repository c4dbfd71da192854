package input

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

const (
	captureHeader = 8 + 4 + 4 // what a capture puts before each datagram
	nlmsghdrSize  = 16        // struct nlmsghdr, include/uapi/linux/netlink.h
)

// header is what a capture says about one datagram.
type header struct {
	monotonic uint64 // ns
	sender    uint32 // sockaddr_nl.nl_pid; the kernel's is 0
	length    uint32 // of the datagram, in bytes
}

func parseHeader(p []byte) header {
	return header{
		monotonic: binary.LittleEndian.Uint64(p),
		sender:    binary.LittleEndian.Uint32(p[8:]),
		length:    binary.LittleEndian.Uint32(p[12:]),
	}
}

// plausible reports whether h can be the header of a datagram: 2^59 ns are 18
// years of uptime. Text never passes, not even behind a run of NUL bytes, as
// its letters make the length too large or the time.
func (h header) plausible() bool {
	return h.monotonic < 1<<59 && h.length <= maxLine && h != (header{})
}

// isCapture reports whether the input is a capture. The first datagram may be a
// forgery, so nothing is asked of its bytes: if they do not look like a netlink
// message, the header behind them decides.
func (r *Reader) isCapture() bool {
	p, err := r.br.Peek(captureHeader)
	if len(p) < captureHeader {
		// A capture that was cut in its first header, or some other short thing.
		// A time of less than 18 years makes a NUL or control byte here.
		return err == io.EOF && len(p) >= 8 && p[7] < 8 && len(bytes.Trim(p, "\x00 \t\r\n")) > 0
	}
	h := parseHeader(p)
	if !h.plausible() {
		return false
	}
	if h.length >= nlmsghdrSize {
		p, err = r.br.Peek(captureHeader + nlmsghdrSize)
		if err != nil {
			return err == io.EOF // cut within the first datagram
		}
		n, _ := nlmsghdr(p[captureHeader:])
		if n == h.length || n == h.length-nlmsghdrSize {
			return true
		}
	}
	end := captureHeader + int(h.length)
	if p, err = r.br.Peek(end + captureHeader); err != nil {
		return true // the only datagram, or one larger than the buffer
	}
	second := parseHeader(p[end:])
	return second.plausible() && second.monotonic >= h.monotonic
}

// isDamagedCapture reports whether the input is a capture but for its first
// header: a datagram with a record stands where one would stand behind it.
func (r *Reader) isDamagedCapture() bool {
	if p, _ := r.br.Peek(8); len(p) < 8 || !slices.ContainsFunc(p, isBinary) {
		return false // text; it may be somebody who writes slowly
	}
	const stamp = "audit("
	p, _ := r.br.Peek(captureHeader + nlmsghdrSize + len(stamp))
	if len(p) < captureHeader+nlmsghdrSize+len(stamp) {
		return false
	}
	datagram := p[captureHeader:]
	_, typ := nlmsghdr(datagram)
	return string(datagram[nlmsghdrSize:]) == stamp && isAuditType(typ)
}

// isBinary reports whether text does not begin with c.
func isBinary(c byte) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != escape || c >= 0xf8
}

// nextDatagram yields the next datagram of a capture.
func (r *Reader) nextDatagram(rec *Record) error {
	p, err := r.br.Peek(captureHeader)
	if err != nil {
		if err == io.EOF && len(p) > 0 {
			return r.damage("the capture is cut off in a header")
		}
		return r.readError(err)
	}
	h := parseHeader(p)
	if h.length > maxLine {
		return r.damage("not the header of a datagram")
	}
	size := captureHeader + int(h.length)
	if size <= r.br.Size() {
		if p, err = r.br.Peek(size); err == nil {
			r.br.Discard(size) // leaves p alone until the next read
		}
	} else {
		if cap(r.long) < size {
			r.long = make([]byte, size)
		}
		p = r.long[:size]
		_, err = io.ReadFull(r.br, p)
	}
	switch err {
	case nil:
	case io.EOF, io.ErrUnexpectedEOF:
		return r.damage("the capture is cut off in a datagram")
	default:
		return r.readError(err)
	}
	r.off += int64(size)
	h.record(p[captureHeader:], rec)
	return nil
}

// record fills rec with the record in datagram. There is one in each, and its
// length is the datagram's: in the copy that auditd gets by unicast nlmsg_len
// is 16 too small (kernel/audit.c, audit_log_end).
func (h header) record(datagram []byte, rec *Record) {
	rec.Monotonic = int64(h.monotonic)
	rec.Forged = h.sender != 0
	if len(datagram) < nlmsghdrSize {
		rec.Text, rec.Truncated = datagram, true
		return
	}
	length, typ := nlmsghdr(datagram)
	rec.Type = typ
	rec.Truncated = length > h.length
	rec.Text = datagram[nlmsghdrSize:]
}

// nlmsghdr returns nlmsg_len and nlmsg_type of a datagram. The headers of a
// capture are little endian everywhere, but a datagram is as the kernel sent it:
// in the byte order of the host that was captured. In the wrong order a length
// of less than 64 KiB is a multiple of that, so the smaller one is right, unless
// it is damaged: then only the other order has a type of audit's.
func nlmsghdr(datagram []byte) (length uint32, typ uint16) {
	length, typ = binary.LittleEndian.Uint32(datagram), binary.LittleEndian.Uint16(datagram[4:])
	big, bigTyp := binary.BigEndian.Uint32(datagram), binary.BigEndian.Uint16(datagram[4:])
	if big < length && (isAuditType(bigTyp) || !isAuditType(typ)) {
		return big, bigTyp
	}
	return length, typ
}

// isAuditType reports whether typ is of a message of audit's (AUDIT_GET to
// AUDIT_LAST_USER_MSG2 in include/uapi/linux/audit.h).
func isAuditType(typ uint16) bool { return typ >= 1000 && typ < 3000 }
