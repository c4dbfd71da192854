package coalesce

import (
	"encoding/binary"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// appendKind appends what makes accesses be of one kind to a coalescer: the host
// and the boot, the verdict, the operation, the object, the rule and the policy.
// What else the rule says follows from that.
func appendKind(dst []byte, ev *ipe.Event, id *format.Identity) []byte {
	dst = append(dst, byte(ev.Verdict), byte(ev.Enforcing), byte(ev.Has&ipe.HasIno>>2))
	dst = binary.LittleEndian.AppendUint64(dst, ev.Ino)
	for _, b := range [...][]byte{
		ev.Op, ev.Hook, ev.Path, ev.Dev, ev.Rule,
		ev.ActivePolicy.Name, ev.ActivePolicy.Version, ev.ActivePolicy.Digest, id.Host, id.BootID,
	} {
		// The length, plus one where it is known: the parts cannot be confused.
		n := uint64(0)
		if b != nil {
			n = uint64(len(b)) + 1
		}
		dst = append(binary.AppendUvarint(dst, n), b...)
	}
	return dst
}

// pidSet is a set of process ids. They come in a row, and a kernel has at most
// 2^22 of them (PID_MAX_LIMIT, include/linux/threads.h), so bits are the least
// memory. A file may have any number.
type pidSet struct {
	pages map[uint64]*[64]uint64 // of 4096 ids each
	n     uint64
}

// add reports whether the set did not have the id, and how many bytes it took.
func (s *pidSet) add(pid uint64) (added bool, grown int) {
	page := s.pages[pid>>12]
	if page == nil {
		if s.pages == nil {
			s.pages = make(map[uint64]*[64]uint64)
		}
		page = new([64]uint64)
		s.pages[pid>>12] = page
		grown = 512 + 32
	}
	word, bit := &page[pid>>6&63], uint64(1)<<(pid&63)
	if *word&bit != 0 {
		return false, grown
	}
	*word |= bit
	s.n++
	return true, grown
}

// remove takes an id out that is in.
func (s *pidSet) remove(pid uint64) {
	s.pages[pid>>12][pid>>6&63] &^= 1 << (pid & 63)
	s.n--
}
