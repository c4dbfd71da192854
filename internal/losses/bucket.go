package losses

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// bucket concludes from the kernel log how many records were lost, where the
// kernel's own number is not printed.
//
// Without auditd the kernel prints every record, as far as the one bucket of
// printk_ratelimit() lets it: ten lines in five seconds, for all users of the
// kernel together (kernel.printk_ratelimit_burst, kernel.printk_ratelimit). A
// record that is printed or not asks the bucket once (kauditd_printk_skb in
// kernel/audit.c), and one that is lost three times (audit_log_start,
// audit_log_lost, audit_panic). So in a flood the bucket is empty just when
// something is lost, and nothing says so. But who asks first after the five
// seconds is told how many were refused (lib/ratelimit.c): "kauditd_printk_skb: N
// callbacks suppressed". N and the lines that were printed are all questions of
// that time; each record that was not lost has taken one serial; so
//
//	lost = (N + 10 - serials) / 3
//
// A record that was lost otherwise asks less often (twice at the rate limit, with
// failure=0 once less), so that the number is never too high for that. It is too
// high where somebody else has asked too: a program that crashes in a loop does,
// so a local user can raise the number, and can hide it by being seen.
// And with audit enabled several records share a serial. Where any of that shows,
// there is no number.
//
// The zero value is not usable: see newBucket. A bucket belongs to one goroutine.
type bucket struct {
	burst    int
	interval time.Duration

	last   []printedLine // the last burst lines that audit got printed, oldest first
	other  bool          // since the last window was over, somebody else has shown
	serial uint32        // of the last record printed
	seen   bool          // serial is one

	over *window // is over, and the next record will say how many serials it took
}

// printedLine is a line that audit got printed.
type printedLine struct {
	kmsgLine
	sum uint64 // how many were known to be lost by then
}

// window is the time in which a bucket was used up, or several of them in
// succession.
type window struct {
	asked   uint64 // questions
	from    uint32 // serial of the first record that asked
	known   bool   // from is one
	shared  bool   // others got lines printed
	dubious bool   // others asked too, or audit is enabled
	before  uint64 // how many were known to be lost before
	number  uint32 // the kernel's own number in it
	counted bool   // there is a number
	seq     uint64 // of the first line
}

// lossWindow is what a window comes to.
type lossWindow struct {
	count   uint64 // lost in it, at least
	dubious bool   // something may be lost, but nobody knows how many

	before  uint64 // how many were known to be lost when it began
	number  uint32 // the first number that the kernel printed in it
	counted bool   // there is a number
	seq     uint64 // of its first line
}

// maxBurst bounds the lines that are kept. With more nobody is suppressed.
const maxBurst = 1000

// newBucket returns a bucket with the settings below root, which may be changed
// by an administrator, or those of a kernel where nobody has.
func newBucket(root string) *bucket {
	read := func(name string, otherwise int) int {
		text, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel", name))
		if err != nil {
			return otherwise
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return otherwise
		}
		return n
	}
	return &bucket{burst: read("printk_ratelimit_burst", 10), interval: time.Duration(read("printk_ratelimit", 5)) * time.Second}
}

// slack is by how much the clocks of the lines and of the bucket may differ: some
// ticks.
const slack = 50 * time.Millisecond

// end returns what a window comes to that is over and known with this line, and
// whether there is one. It is called before take.
func (b *bucket) end(l *kmsgLine) (lossWindow, bool) {
	if l.finding != kmsgRecord {
		return lossWindow{}, false
	}
	return b.endWindow(l.serial)
}

// addLine takes the next line of the kernel log, and how many were known to be lost
// before it.
func (b *bucket) addLine(l *kmsgLine, sum uint64) {
	switch {
	case b.burst < 1 || b.burst > maxBurst || b.interval <= 0: // nothing is suppressed, or everything
	case l.finding == kmsgOther:
		b.other = true
	case l.finding == kmsgSuppressed:
		b.suppressed(l)
	case l.printed():
		if l.finding == kmsgRecord {
			b.serial, b.seen = l.serial, true
		}
		if len(b.last) == b.burst {
			copy(b.last, b.last[1:])
			b.last = b.last[:b.burst-1]
		}
		b.last = append(b.last, printedLine{kmsgLine: *l, sum: sum})
	}
}

// full reports whether the bucket is used up for now, so that what is lost from
// here on is not printed.
func (b *bucket) full(at time.Duration) bool {
	return len(b.last) > 0 && len(b.last) == b.burst && at-b.last[0].at <= b.interval
}

// until returns the time of the last line.
func (b *bucket) until() time.Duration {
	if len(b.last) == 0 {
		return 0
	}
	return b.last[len(b.last)-1].at
}

// suppressed ends a window: l says how many lines were not printed in it.
func (b *bucket) suppressed(l *kmsgLine) {
	w := b.over
	if w == nil {
		w = &window{seq: l.seq}
		b.over = w
		b.begin(w)
	}
	w.asked += uint64(l.number) + uint64(b.burst)
	w.shared = w.shared || b.shared()
	w.dubious = w.dubious || w.shared || b.other || !l.audit || b.doubts()
	b.last, b.other = b.last[:0], false
}

// begin fills in where a window begins.
func (b *bucket) begin(w *window) {
	w.from, w.known = b.serial+1, b.seen
	for i := range b.last {
		if b.last[i].finding == kmsgRecord {
			w.from, w.known = b.last[i].serial, true
			break
		}
	}
	if len(b.last) > 0 {
		w.seq, w.before = b.last[0].seq, b.last[0].sum
	}
	for i := range b.last {
		if b.last[i].finding == kmsgLost {
			w.number, w.counted = b.last[i].number, true
			break
		}
	}
}

// shared reports whether others got lines printed: there are not enough of audit.
func (b *bucket) shared() bool {
	return len(b.last) < b.burst || b.last[len(b.last)-1].at-b.last[0].at > b.interval+slack
}

// doubts reports whether the printed lines show that the numbers mean something
// else.
func (b *bucket) doubts() bool {
	counted, reasons := -1, 0
	for i := range b.last {
		l := &b.last[i]
		switch {
		case l.enabled || i > 0 && l.finding == kmsgRecord && b.last[i-1].finding == kmsgRecord && b.last[i-1].serial == l.serial:
			return true // audit is enabled
		case l.finding == kmsgOverflow:
			return true // a record that was not lost has asked for two more
		case l.finding == kmsgReason:
			reasons++
		case l.finding == kmsgLost && counted < 0:
			counted = i
		}
	}
	// failure=0: the reason is not said. It may come behind lines of another CPU.
	return counted >= 0 && counted < len(b.last)-2 && reasons == 0
}

// endWindow looks at the window that is over, now that a record with this serial
// begins the next one.
func (b *bucket) endWindow(serial uint32) (lossWindow, bool) {
	w := b.over
	if w == nil {
		return lossWindow{}, false
	}
	b.over = nil
	out := lossWindow{before: w.before, number: w.number, counted: w.counted, seq: w.seq, dubious: w.dubious || !w.known}
	delivered := uint64(max(int32(serial-w.from), 0))
	switch {
	case w.shared && (!b.seen || serial == b.serial+1):
		// Others used it all. No record of audit was suppressed, and none is lost but
		// from a queue that is full of others.
		return out, false
	case w.known && w.asked <= delivered:
		return out, false // every question was one of a record
	case out.dubious:
		return out, true
	}
	out.count = (w.asked - delivered) / 3
	return out, out.count > 0
}
