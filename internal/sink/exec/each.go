package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// maxMemory bounds how many entries without a Flush are remembered.
const maxMemory = 1 << 16

var errTimeout = errors.New("timed out")

// each runs the command for each entry.
type each struct {
	*Sink
	limit limiter
	own   ownEvents

	// The last of the coalesced entries, and how many there are.
	held  []byte
	nHeld int

	// Hashes of the entries written since the last Flush. After a failure they
	// come again; those whose run was good, which are the first done ones, need
	// no other. The next to come is written[next].
	seed       maphash.Seed
	written    []uint64
	done, next int
}

func newEach(s *Sink, maxPerMinute int) *each {
	return &each{
		Sink:  s,
		limit: limiter{max: maxPerMinute, per: time.Minute},
		own:   newOwnEvents(),
		seed:  maphash.MakeSeed(),
	}
}

// rewind expects the entries since the last Flush again.
func (ea *each) rewind() { ea.next, ea.nHeld = 0, 0 }

func (ea *each) write(ctx context.Context, life *lifetime, e *sink.Entry) error {
	if ea.known(e.Bytes) {
		return nil
	}
	if ea.own.match(e.Event) {
		ea.stats.own.Add(1)
		return nil
	}
	if ea.limit.wait(time.Now()) > 0 {
		ea.held = append(ea.held[:0], e.Bytes...)
		ea.nHeld++
		ea.stats.coalesced.Add(1)
		return nil
	}
	return ea.run(ctx, life, e.Bytes, ea.nHeld)
}

func (ea *each) flush(ctx context.Context, life *lifetime) error {
	if ea.nHeld > 0 {
		if err := ea.await(ctx, life); err != nil {
			return err
		}
		if err := ea.run(ctx, life, ea.held, ea.nHeld-1); err != nil {
			return err
		}
	}
	ea.written, ea.done, ea.next = ea.written[:0], 0, 0
	return nil
}

// known notes that an entry came, and reports whether it had its run before a
// failure made it come again.
func (ea *each) known(entry []byte) bool {
	h := maphash.Bytes(ea.seed, entry)
	if ea.next < ea.done && ea.written[ea.next] == h {
		ea.next++
		return true
	}
	// If others come than last time, the spool gave those up.
	ea.done = min(ea.done, ea.next)
	if ea.next < maxMemory {
		ea.written = append(ea.written[:ea.next], h)
		ea.next++
	}
	return false
}

// await returns when the command may run again.
func (ea *each) await(ctx context.Context, life *lifetime) error {
	t := time.NewTimer(ea.limit.wait(time.Now()))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-life.Done():
		return os.ErrClosed
	case <-t.C:
		return nil
	}
}

// run runs the command for an entry, and for others before it that were
// coalesced.
func (ea *each) run(ctx context.Context, life *lifetime, entry []byte, coalesced int) error {
	line, variables := split(entry)
	env := append(variables, "IPE_COALESCED="+strconv.Itoa(coalesced))

	begin := time.Now()
	ea.limit.add(begin)
	ea.stats.runs.Add(1)
	p, err := ea.start(bytes.NewReader(line), env)
	if err != nil {
		ea.own.add(0, begin, time.Now())
		ea.stats.failed.Add(1)
		return fmt.Errorf("start: %w", err)
	}
	err = ea.end(ctx, life, p)
	ea.own.add(p.pid, begin, time.Now())
	if err != nil {
		ea.stats.failed.Add(1)
		return err
	}
	ea.nHeld, ea.done = 0, ea.next
	return nil
}

// end returns when the run has ended, which it brings about if need be.
func (ea *each) end(ctx context.Context, life *lifetime, p *process) error {
	t := time.NewTimer(ea.timeout)
	defer t.Stop()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	case <-life.Done():
		p.kill()
		return os.ErrClosed
	case <-t.C:
		p.kill()
		ea.stats.timeouts.Add(1)
		return fmt.Errorf("%w after %v", errTimeout, ea.timeout)
	}
}

// split separates the line of an entry from its variables.
func split(entry []byte) (line []byte, variables []string) {
	n := bytes.IndexByte(entry, '\n') + 1
	if n == 0 {
		n = len(entry)
	}
	for v := range strings.SplitSeq(string(entry[n:]), "\x00") {
		if v != "" {
			variables = append(variables, v)
		}
	}
	return entry[:n], variables
}

// limiter allows max events in any period of the length per.
type limiter struct {
	max  int
	per  time.Duration
	last []time.Time // the last max ones; a ring once it is full
	next int         // the oldest of them
}

// wait returns how long it takes until the next one is allowed; 0 means it is.
func (l *limiter) wait(now time.Time) time.Duration {
	if len(l.last) < l.max {
		return 0
	}
	return max(0, l.last[l.next].Add(l.per).Sub(now))
}

// add notes one at the time now.
func (l *limiter) add(now time.Time) {
	if len(l.last) < l.max {
		l.last = append(l.last, now)
		return
	}
	l.last[l.next] = now
	l.next = (l.next + 1) % l.max
}
