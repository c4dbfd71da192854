package syslog

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
)

// A real rsyslogd is killed again and again in the middle of a flood. Behind the
// runner, nothing is lost and nothing is out of order within a connection.
func TestKilledRsyslogLosesNothing(t *testing.T) {
	t.Parallel()
	for _, network := range []string{TCP, TLS} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t)
			r := newRsyslog(t, network, p)
			o := Config{Network: network, Target: r.address()}
			if network == TLS {
				o.CA = p.ca
				o.Cert, o.Key = p.issue("client.test")
			}
			total, kills := 8_000, 3
			if network == TLS {
				kills = 1 // each start makes rsyslogd look for a prime again
			}
			source := &records{total: total}
			run := sink.New(sink.Config{Name: "siem", Sink: newSink(t, o), Source: source, Format: rfc5424Func(t), Pause: 10 * time.Millisecond})
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() { ended <- run.Run(ctx) }()
			for i := range kills {
				source.allow((i + 1) * total / (kills + 1))
				r.waitEvent(i*total/(kills+1) + 300) // of this round: lines that are sent again do not count
				r.kill()
				r.cutTornLine()
				r.start()
			}
			source.allow(total)
			select {
			case err := <-ended:
				check(t, err)
			case <-time.After(patience):
				t.Fatalf("waited %v for the runner to end: %+v", patience, run.Status())
			}
			r.waitFor(total)
			checkOrder(t, r.lines(), total)
			if run.Status().Failures < uint64(kills) {
				t.Errorf("%d failures, want one for each of %d kills", run.Status().Failures, kills)
			}
		})
	}
}

// checkOrder checks that all events are there, and that the numbers go up by one
// except where they were sent again.
func checkOrder(t *testing.T, all []line, total int) {
	t.Helper()
	next, last, again := 1, 0, 0
	for _, l := range all {
		seq, err := strconv.Atoi(l.Parsed["ipe@32473"]["seq"])
		check(t, err)
		if seq > last+1 && seq > next {
			t.Fatalf("%d after %d: %d events are missing", seq, last, seq-next)
		}
		if seq <= last {
			again++
		}
		last, next = seq, max(next, seq+1)
	}
	if next != total+1 {
		t.Errorf("the last event is %d, want %d", next-1, total)
	}
	t.Logf("%d lines for %d events, sent again from an earlier one %d times", len(all), total, again)
}

// records is a source of the runner that gives records as far as it is allowed.
type records struct {
	total int

	next  int // sequence number of the last one given
	entry spool.Entry

	mu    sync.Mutex
	limit int
	more  chan struct{}
}

func (r *records) allow(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit = n
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

func (r *records) TryNext() (*spool.Entry, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= r.total {
		return nil, false, io.EOF
	}
	if r.next >= r.limit {
		return nil, false, nil
	}
	r.next++
	r.entry = spool.Entry{ID: 7, Seq: uint64(r.next), Type: 1420, Data: fmt.Appendf(nil, record, r.next)}
	return &r.entry, true, nil
}

func (r *records) Next(ctx context.Context) (*spool.Entry, error) {
	for {
		if e, ok, err := r.TryNext(); ok || err != nil {
			return e, err
		}
		r.mu.Lock()
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		if r.next < r.limit {
			more = nil
		}
		r.mu.Unlock()
		if more == nil {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *records) Rewind(c spool.Cursor) { r.next = int(c.Seq) }
