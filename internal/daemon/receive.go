package daemon

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// appender is the side of the spool that the receiver sees.
type appender interface {
	Append([]spool.Record) spool.Cursor
}

// receiver moves records from the socket to the spool.
type receiver struct {
	// Set at construction.
	conn  *netlinkaudit.Conn
	spool appender

	// Owned by the goroutine that calls run.
	records []spool.Record

	classes [8]atomic.Uint64 // records by what Classify said; read from any goroutine
	turns   atomic.Uint64    // batches begun and batches ended: odd while there is one in hand
	active  chan struct{}    // holds a token when something was received
}

func newReceiver(conn *netlinkaudit.Conn, s appender) *receiver {
	return &receiver{
		conn:    conn,
		spool:   s,
		records: make([]spool.Record, 0, 64),
		active:  make(chan struct{}, 1),
	}
}

// run receives until the connection is closed or its deadline passes. It does
// not allocate, and waits for nothing but the socket and, at most for its stall
// time, the spool.
func (r *receiver) run() error {
	for {
		msgs, err := r.conn.Receive()
		if err != nil {
			if errors.Is(err, os.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
		r.turns.Add(1)
		r.take(msgs, time.Now().UnixNano())
		r.turns.Add(1)
		select {
		case r.active <- struct{}{}:
		default:
		}
	}
}

// take appends what is IPE's in a batch.
func (r *receiver) take(msgs []netlinkaudit.Message, now int64) {
	r.records = r.records[:0]
	for i := range msgs {
		msg := &msgs[i]
		class := ipe.Classify(msg.Type, msg.Data)
		r.classes[class].Add(1)
		if class != ipe.ClassIPE {
			continue
		}
		r.records = append(r.records, spool.Record{
			Type: msg.Type, Time: now, Data: msg.Data,
			Urgent: msg.Type != ipe.TypeAccess,
		})
	}
	if len(r.records) > 0 {
		r.spool.Append(r.records)
	}
}

// progress returns a number that grows whenever run gets on, and whether it has
// anything to do. It may be called from any goroutine.
func (r *receiver) progress() (count uint64, working bool) {
	turns := r.turns.Load()
	queued, err := r.conn.Queued()
	// Types that nobody asked for are thrown away without a turn.
	return turns + r.conn.Stats().Foreign, turns%2 == 1 || err == nil && queued > 0
}
