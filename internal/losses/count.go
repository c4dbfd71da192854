package losses

import "time"

// count is the kernel's number of lost records, in so far as it is known, and
// how much of it the reporter has. It is about what was lost since the first number,
// or since the number that an earlier process has told.
type count struct {
	known   bool
	kernel  uint32    // the number that the kernel said last
	assumed bool      // the kernel has not said kernel: it is from an old line of the log, or 0 where there is none
	stale   bool      // with assumed: more may have been lost since that line, or before it
	beyond  uint64    // in sum but not in kernel: concluded, or found out to be too many
	at      time.Time // when kernel was said, or something was entered

	sum     uint64 // known to be lost
	entered uint64 // of sum, in the reporter
}

// nearWrap is how close to its end the kernel's number, which has 32 bits, must
// have been for a lower one to have gone on behind it. Between two looks no more
// can be lost; a lower number in any other case was reset by somebody
// (AUDIT_SET with AUDIT_STATUS_LOST).
const nearWrap = 1 << 28

// below reports whether n, said after last, is a number from before a reset, or
// behind one.
func below(n, last uint32) bool { return n < last && n-last >= nearWrap }

// truth returns how many are known to be lost and in the kernel's number: sum
// without what is beyond that. What was told too much makes it negative.
func (c *count) truth() int64 { return int64(c.sum) - int64(c.beyond) }

// begin says that the kernel's log is where we begin: with the last number in it,
// or without any. A log that is whole and has no number says that nothing was
// lost.
func (c *count) begin(logged *uint32, whole bool, now time.Time) {
	c.known, c.assumed, c.stale, c.at = true, true, logged != nil || !whole, now
	if logged != nil {
		c.kernel = *logged
	}
}

// observe takes the kernel's number. The first one is where we begin: what it
// counts happened before us. A number that was reset counts what was lost since.
// Asked for, and not logged, it holds everything that was lost, so what was
// concluded and is not in the reporter yet is taken back. It reports whether the
// number was reset.
func (c *count) observe(n uint32, asked bool) (reset bool) {
	if !c.known || c.assumed && asked {
		c.known, c.assumed, c.stale, c.kernel, c.beyond = true, false, false, n, 0
		return false
	}
	more := uint64(n - c.kernel)
	if reset = below(n, c.kernel); reset {
		more = uint64(n)
	}
	c.kernel, c.assumed, c.stale = n, false, false
	truth := c.truth() + int64(more)
	if asked && !reset {
		c.sum = c.entered
	}
	c.sum = uint64(max(int64(c.sum), truth))
	c.beyond = uint64(int64(c.sum) - truth)
	return reset
}

// rebase takes the first number that is logged before our eyes. What was lost
// between an old one, which may be long ago, and this one is not ours.
func (c *count) rebase(n uint32) {
	if c.known && c.stale {
		c.kernel, c.assumed, c.stale, c.beyond = n-1, false, false, 0
	}
}

// atLeast takes a conclusion: so many were lost since the first number.
func (c *count) atLeast(sum int64) {
	if more := sum - int64(c.sum); more > 0 {
		c.sum += uint64(more)
		c.beyond += uint64(more)
	}
}
