package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/backfill"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

const (
	// journalTimeout is how long journalctl may take.
	journalTimeout = 10 * time.Second

	// maxQueued is how much of what is queued at the socket is taken before it is
	// told, in bytes, to compare it with the kernel log.
	maxQueued = 16 << 20

	// batchSize is how many messages are appended at once.
	batchSize = 64

	// queuedTimeout is how long a message that is queued may take. What is queued may
	// be of no type that was asked for.
	queuedTimeout = 20 * time.Millisecond
)

// backfill tells, once in a boot, what the kernel log has from before the socket, and
// then what is queued at the socket. It is called before the receiver runs. Without a
// state directory nobody knows whether a process before has told it, so nothing is.
func (d *daemon) backfill(ctx context.Context, active bool) {
	dir := d.dir("")
	if dir == "" || d.boot == (bootid.ID{}) || d.Protocol != 0 && d.Kmsg == nil {
		return
	}
	log := d.log.With(zap.String("log", "what was recorded before the socket was there"))
	if done, err := backfill.Done(dir, d.boot.String()); done {
		return
	} else if err != nil {
		log.Warn("it is not known whether it was fetched before, so it may be told again", zap.Error(err))
	}
	kmsg, err := d.readKmsg()
	if err != nil {
		log.Info("the kernel log cannot be read", zap.Error(err))
	}
	var journal backfill.Log
	if d.Protocol == 0 && (err != nil || !kmsg.Complete()) {
		journal = d.readJournal(ctx, log)
	}
	if err != nil && len(journal.Records) == 0 {
		return // another start may be permitted more
	}
	s := backfill.Select(&kmsg, &journal)
	queued := d.receiver.takeQueued()
	for i := range queued {
		s.Live(queued[i].Type, queued[i].Data)
	}
	d.tellKnown(s)
	records, missing := s.Records()
	d.appendBackfill(records)
	// Where IPE judges nothing, what is missing in the log was not IPE's.
	if missing && (active || len(records) > 0) {
		ev := losses.Kernel.Event(losses.Loss{Accuracy: ipe.AccuracyUnknown, Until: time.Now()})
		ev.Source = []byte(ipe.SourceBackfill)
		d.emitter.emit(&ev)
	}
	for batch := range slices.Chunk(queued, batchSize) {
		d.receiver.appendBatch(batch, time.Now().UnixNano())
	}
	if err := backfill.Mark(dir, d.boot.String()); err != nil {
		log.Warn("it may be told again after the next start", zap.Error(err))
	}
	if len(records) > 0 || missing {
		log.Info("fetched from the kernel log", zap.Int("records", len(records)), zap.Bool("missing", missing))
	}
}

// readKmsg reads the kernel log, which may be inherited.
func (d *daemon) readKmsg() (backfill.Log, error) {
	if d.Kmsg != nil {
		return backfill.Read(d.Kmsg)
	}
	if d.Inherited.Kmsg != nil {
		return backfill.ReadKmsg(d.Inherited.Kmsg)
	}
	f, err := losses.OpenKmsg()
	if err != nil {
		return backfill.Log{}, err
	}
	defer f.Close()
	return backfill.ReadKmsg(f)
}

// readJournal asks the journal, where there is one.
func (d *daemon) readJournal(ctx context.Context, log *zap.Logger) backfill.Log {
	defer d.extendTimeout()()
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	journal, err := backfill.ReadJournal(ctx)
	if err != nil && !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
		log.Info("the journal was not read to its end", zap.Error(err))
	}
	return journal
}

// tellKnown tells s what the spool has of this boot: a process before was killed
// before it could note that it had told something, or its note is gone.
func (d *daemon) tellKnown(s *backfill.Selection) {
	end := d.spool.End()
	if end.Seq == 0 {
		return
	}
	r := d.spool.NewReader(spool.Start{After: &spool.Cursor{ID: end.ID}})
	defer r.Close()
	for misses := 0; misses < 1000; { // a disk that cannot be read ends it
		e, ok, err := r.TryNext()
		switch {
		case err != nil:
			misses++
		case !ok:
			return
		case e.BootID != d.boot:
		case e.Type == entry.TypeBackfill:
			if im, ok := entry.ParseImported(e.Data); ok {
				s.Known(im.Type, im.Data)
			}
		default:
			s.Known(e.Type, e.Data)
		}
	}
}

// appendBackfill puts records into the spool. They do not go by way of the annotator:
// what was in force is not concluded from what is known to be incomplete.
func (d *daemon) appendBackfill(records []backfill.Record) {
	now := time.Now().UnixNano()
	for i := range records {
		r := &records[i]
		data := entry.AppendImported(nil, &entry.Imported{Type: r.Type, Cut: r.Cut, Data: r.Text})
		d.spool.Append([]spool.Record{{Type: entry.TypeBackfill, Time: now, Data: data}})
	}
}

// takeQueued takes what is queued at the socket, in its order. The messages own their
// memory. It is called before run.
func (r *receiver) takeQueued() (list []netlinkaudit.Message) {
	defer r.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // run would see it
	for size := 0; size < maxQueued; {
		if n, err := r.conn.Queued(); err != nil || n == 0 {
			break
		}
		if r.conn.SetReadDeadline(time.Now().Add(queuedTimeout)) != nil {
			break
		}
		msgs, err := r.conn.Receive()
		if err != nil {
			break
		}
		for _, m := range msgs {
			m.Data = bytes.Clone(m.Data)
			size += len(m.Data)
			list = append(list, m)
		}
	}
	if drops, err := r.conn.Drops(); err != nil || drops != r.drops {
		r.drops = drops
		r.annotator.Lost(time.Now().UnixMilli())
	}
	return list
}
