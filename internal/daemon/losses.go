package daemon

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/losses"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

// lossTracker is the reporter and what feeds it.
type lossTracker struct {
	d        *daemon
	reporter *losses.Reporter
	kernel   *losses.KernelWatch
	done     chan struct{}
	end      context.CancelFunc

	sameSocket bool // it is that of the last process, of this boot
	resumed    bool // what was in force at the end of that holds; set before watch
	standIn    bool // the kernel's count is not about our socket

	mu    sync.Mutex
	state losses.State
}

// openLossTracker opens the reporter where the last process of this boot left it.
func (d *daemon) openLossTracker() *lossTracker {
	b := &lossTracker{d: d, done: make(chan struct{})}
	b.standIn = d.Protocol != 0
	b.reporter = losses.New(b.emit)
	b.reporter.Added = b.added
	b.kernel = losses.NewKernelWatch(b.reporter, auditstate.Socket)
	if d.AuditState != "" {
		b.kernel.AskHelper(d.AuditState)
	}
	b.kernel.Begun, b.kernel.Changed = b.begun, b.changed
	fresh := losses.State{BootID: d.boot.String(), Cookie: d.conn.Cookie()}
	if dir := d.dir(""); dir != "" {
		last, err := losses.LoadState(dir)
		if err != nil {
			d.log.Warn("it is not known which losses were told before, so they may be told again", zap.Error(err))
		}
		if last.BootID == fresh.BootID && fresh.BootID != "" {
			if last.Kernel.Known {
				b.kernel.Resume(last.Kernel, last.At)
				fresh.Kernel = last.Kernel
			}
			if last.Cookie == fresh.Cookie {
				fresh.Drops, b.sameSocket = last.Drops, true
			}
			fresh.At = last.At
		}
	}
	b.state = fresh
	ctx, cancel := context.WithCancel(context.Background())
	b.end = cancel
	go func() { defer close(b.done); b.reporter.Run(ctx) }()
	return b
}

// watch follows the kernel's own count until ctx ends.
func (b *lossTracker) watch(ctx context.Context) {
	kmsg := b.d.Inherited.Kmsg
	if kmsg == nil {
		var err error
		if kmsg, err = losses.OpenKmsg(); err != nil {
			b.d.log.Debug("the kernel log does not tell here that the kernel loses something", zap.Error(err))
		}
	}
	if err := b.kernel.Run(ctx, kmsg); err != nil {
		b.d.log.Warn("the kernel log can no longer be read, so losses in the kernel may go unnoticed", zap.Error(err))
	}
}

// changed says how well it is known what the kernel loses.
func (b *lossTracker) changed(st losses.KernelStatus) {
	log := b.d.log.With(zap.String("source", string(st.Source)))
	switch st.Source {
	case losses.SourceOwn, losses.SourceHelper:
		log.Info("asking the kernel how many records it loses before any socket")
	case losses.SourceLog:
		log.Info("ipe-auditd-lost.socket does not answer, so of what the kernel loses before any socket only a lower bound is known, or no number", zap.Error(st.Err))
	default:
		log.Warn("what the kernel loses before any socket cannot be known here: it needs ipe-auditd-lost.socket, CAP_AUDIT_CONTROL, or the right to read /dev/kmsg", zap.Error(st.Err))
	}
}

// added withdraws the policy in force when the kernel lost records. The receiver
// sees by itself when the socket did, and what is truncated is there.
func (b *lossTracker) added(a losses.Stage) {
	if a == losses.Kernel && !b.standIn {
		b.d.annotator.Lost(time.Now().UnixMilli())
	}
}

// begun is called once the kernel's count is known. What it had lost by then may
// be missing from the queue of the socket.
func (b *lossTracker) begun() {
	if b.kernel.Reported().Lost > 0 && !b.resumed && !b.standIn {
		b.d.annotator.Lost(time.Now().UnixMilli())
	}
	b.save()
}

// emit puts a loss into the stream and into the log, and remembers that.
func (b *lossTracker) emit(ev *ipe.Event) {
	b.d.emitter.emit(ev)
	b.d.logLoss(ev)
	if string(ev.Stage) == losses.Socket.Name() && ev.Kind == ipe.KindLost {
		b.mu.Lock()
		b.state.Drops += ev.Count
		b.mu.Unlock()
	}
	b.save()
}

// logLoss says a loss to the operator, with what to do.
func (d *daemon) logLoss(ev *ipe.Event) {
	fields := []zap.Field{zap.ByteString("stage", ev.Stage), zap.Stringer("accuracy", ev.Accuracy)}
	if ev.Has&ipe.HasCount != 0 {
		fields = append(fields, zap.Uint64("count", ev.Count))
	}
	switch {
	case ev.Kind == ipe.KindForged:
		d.log.Warn("refused audit messages that a process sent, not the kernel", fields...)
	case ev.Accuracy == ipe.AccuracyUnknown && string(ev.Stage) == losses.Kernel.Name() && d.losses.kernel.Uncountable():
		d.log.Warn("with audit=1 and no auditd, or with one that does not read, the kernel's count of lost records includes those that we received, so what it loses before any listener cannot be told: run auditd, or boot without audit=1", fields...)
	case ev.Accuracy == ipe.AccuracyUnknown && string(ev.Stage) == losses.Kernel.Name():
		d.log.Warn("the kernel may have lost audit records before any listener could get them, and its log does not say how many: enable ipe-auditd-lost.socket, and raise audit_backlog_limit", fields...)
	case string(ev.Stage) == losses.Kernel.Name():
		d.log.Warn("the kernel lost audit records before any listener could get them: raise audit_backlog_limit", fields...)
	default:
		d.log.Warn("audit records were lost", fields...)
	}
}

// total returns how many records were lost before the spool, as far as that is known.
func (b *lossTracker) total() (n uint64) {
	for _, a := range []losses.Stage{losses.Socket, losses.Kernel, losses.Truncated} {
		count, _ := b.reporter.Total(a)
		n += count
	}
	return n
}

// save writes what was told so far.
func (b *lossTracker) save() {
	dir := b.d.dir("")
	if dir == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Kernel = b.kernel.Reported()
	b.state.At = time.Now()
	if err := b.state.Save(dir); err != nil {
		b.d.log.Warn("losses that were told may be told again after the next start", zap.Error(err))
	}
}

// addQueued enters what is still queued at a socket that nobody will read any
// more. Only its size is known.
func (b *lossTracker) addQueued(conn *netlinkaudit.Conn) {
	if queued, err := conn.Queued(); err == nil && queued > 0 {
		b.reporter.Add(losses.Socket, losses.Loss{Accuracy: ipe.AccuracyUnknown, Until: time.Now()})
	}
}

// close tells what is left.
func (b *lossTracker) close() {
	b.end()
	<-b.done
	b.save()
}
