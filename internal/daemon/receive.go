package daemon

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/auditwatch"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// receiver moves records from the socket to the spool, by way of the annotator.
type receiver struct {
	// Set at construction.
	conn      *netlinkaudit.Conn
	annotator *activepolicy.Annotator
	watch     *auditwatch.Watch // hears what concerns it; nil: nobody does
	who       *companions       // nil: nobody is interested

	// Owned by the goroutine that calls run.
	records []spool.Record
	drops   uint64 // at the socket, by now

	classes [8]atomic.Uint64 // records by what Classify said; read from any goroutine
	turns   atomic.Uint64    // batches begun and batches ended: odd while there is one in hand
	active  chan struct{}    // holds a token when something was received
}

func newReceiver(conn *netlinkaudit.Conn, w *activepolicy.Annotator) *receiver {
	r := &receiver{
		conn:      conn,
		annotator: w,
		records:   make([]spool.Record, 0, 64),
		active:    make(chan struct{}, 1),
	}
	r.drops, _ = conn.Drops()
	return r
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
		// Before the batch is marked: what lies behind the hole may be in it.
		if drops, err := r.conn.Drops(); err != nil || drops != r.drops {
			r.drops = drops
			r.annotator.Lost(time.Now().UnixMilli())
		}
		r.appendBatch(msgs, time.Now().UnixNano())
		r.turns.Add(1)
		select {
		case r.active <- struct{}{}:
		default:
		}
	}
}

// appendBatch appends what is IPE's in a batch.
func (r *receiver) appendBatch(msgs []netlinkaudit.Message, now int64) {
	r.records = r.records[:0]
	for i := range msgs {
		msg := &msgs[i]
		if ipe.IsCompanion(msg.Type) {
			if r.who != nil && r.who.companion(msg.Type, msg.Data, now) {
				r.records = append(r.records, spool.Record{Type: msg.Type, Time: now, Data: msg.Data, Attachment: true})
			}
			continue
		}
		class := ipe.Classify(msg.Type, msg.Data)
		r.classes[class].Add(1)
		if class != ipe.ClassIPE {
			continue
		}
		if r.watch != nil && msg.Type != ipe.TypeAccess && !r.watch.Record(msg.Type, msg.Data) {
			continue
		}
		record := spool.Record{Type: msg.Type, Time: now, Data: msg.Data, Urgent: msg.Type != ipe.TypeAccess}
		if r.who != nil {
			switch msg.Type {
			case ipe.TypeAccess:
				if r.who.access(msg.Data, now) {
					record.Context = entry.ContextOff
				}
			case ipe.TypeAuditConfigChange:
				r.who.poke() // the kernel may send companions from here on, or no longer
				r.who.access(msg.Data, now)
			case ipe.TypeEventListener:
				r.who.access(msg.Data, now)
			}
		}
		r.records = append(r.records, record)
	}
	if len(r.records) > 0 {
		r.annotator.Append(r.records)
		if r.who != nil && r.who.asker != nil {
			r.who.asker.Begin()
		}
	}
}

// progress returns a number that grows whenever run gets on, and whether it has
// anything to do. It may be called from any goroutine.
func (r *receiver) progress() (count uint64, working bool) {
	turns := r.turns.Load()
	queued, err := r.conn.Queued()
	// Types that nobody asked for are thrown away without a turn.
	return turns + r.conn.Stats().Filtered, turns%2 == 1 || err == nil && queued > 0
}
