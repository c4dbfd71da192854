package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/accesscount"
	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditwatch"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/procinfo"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/statedir"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
	"github.com/ipe-auditd/ipe-auditd/pkg/netlinkaudit"
)

const (
	// drainTimeout is how long a stopping daemon lets its sinks deliver what is
	// spooled. The rest is delivered by the next start.
	drainTimeout = 10 * time.Second

	// lastMoment is what sinks get after the end of Options.Timeout, so that only
	// those are called late that are.
	lastMoment = 500 * time.Millisecond

	// emptyTimeout is how long a stopping daemon goes on taking what is queued
	// at a socket that ends with it: a full receive buffer takes about a second.
	emptyTimeout = 5 * time.Second
)

// Options say what a daemon does. Config, Console and Log must be set.
type Options struct {
	Version string
	Config  *config.Config // with its sinks filled in
	Console Console
	Log     *zap.Logger

	// Inherited are the files that a service manager passed. Run closes them.
	Inherited Inherited

	// Input, when not nil, is read instead of the kernel. Run then ends when
	// every sink has everything, or fails Timeout after its start, if that is
	// not 0.
	Input     io.Reader
	InputName string
	Timeout   time.Duration

	// Hangup asks to reopen files and to replace the configuration by what
	// Reload returns. Both may be nil.
	Hangup <-chan os.Signal
	Reload func() (*config.Config, error)

	// Notify tells a service manager a state, as in sd_notify(3); nil when there
	// is none. Watchdog is how long that waits for WATCHDOG=1; 0 for ever.
	Notify   func(state string)
	Watchdog time.Duration

	// For tests: the netlink protocol and network namespace in place of those of
	// the audit group, as in netlinkaudit.Config, what stands for /sys and /proc, where
	// the helper is that is asked even where we may ask ourselves, and what is read
	// line by line for the time before the socket. With a Protocol, /proc is not asked
	// without Proc.
	Protocol, NetNS int
	Sysfs, Proc     string
	AuditState      string
	Kmsg            func([]byte) (int, error)
}

// Run is the daemon. It returns when ctx ends and everything was delivered that
// could be in a short time; nil then.
func Run(ctx context.Context, o Options) error {
	defer o.Inherited.Close()
	managed := o.Notify != nil
	if !managed {
		o.Notify = func(string) {}
	}
	warnings, err := CheckSinks(o.Config.Sinks)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		o.Log.Warn(w.String())
	}
	if dir := o.Config.Spool.Dir; dir != "" {
		if err := statedir.CheckOwner(dir, os.Geteuid()); err != nil {
			return fmt.Errorf("spool.dir: %w", err)
		}
	}
	d := &daemon{Options: o, log: o.Log, since: time.Now(), managed: managed}
	if o.Input != nil && o.Timeout > 0 {
		d.deadline = time.Now().Add(o.Timeout)
	}

	// The socket first: from here on the kernel keeps records for us.
	if o.Input == nil {
		if err := d.listen(); err != nil {
			return err
		}
		defer d.conn.Close()
		d.share = fairshare.NewPool(fairshare.Places(runtime.GOMAXPROCS(0)), fairshare.Patience)
	}
	if err := d.openSpool(); err != nil {
		return err
	}
	if o.Input == nil {
		d.who = d.openCompanions()
	}
	if err := d.openSealer(); err != nil {
		d.spool.Close()
		return err
	}
	d.sinks = newSinkSet(d)
	if err := d.sinks.startAll(o.Config.Sinks); err != nil {
		d.spool.Close()
		return err
	}
	if o.Input != nil {
		endSealing := d.startSealing()
		err = d.feed(ctx)
		endSealing()
		d.savePolicyTable(true)
	} else {
		err = d.serve(ctx)
	}
	if late := d.finish(ctx); err == nil {
		err = late
	}
	return err
}

// daemon is one run.
type daemon struct {
	Options
	log *zap.Logger

	since    time.Time
	managed  bool // somebody listens to Notify
	hostname host.Hostname
	boot     bootid.ID
	spool    *spool.Spool
	emitter  emitter
	sinks    *sinkSet
	share    *fairshare.Pool // of the processors, for sinks and the feed; nil with Input, where nobody is in a hurry

	policies  *activepolicy.Table
	annotator *activepolicy.Annotator
	unsaved   bool // the last save of the policies failed, and that was said

	// Nil with Input.
	conn     *netlinkaudit.Conn
	receiver *receiver
	who      *companions
	accesses *accesscount.Counter
	kernel   string // its release
	losses   *lossTracker
	sealer   *seal.Sealer // nil too when there are no checkpoints
	audit    *auditwatch.Watch
	api      *api.Server // nil too when there is none

	heartbeats chan time.Duration // how often, when that changes; one slot

	deadline time.Time // start and Timeout; zero: none
}

// listen opens or adopts the socket.
func (d *daemon) listen() error {
	cfg := netlinkaudit.Config{
		Types: d.types(false), ReadBuffer: int(d.Config.Source.ReceiveBuffer), Coalesce: time.Millisecond,
		Protocol: d.Protocol, NetNS: d.NetNS,
	}
	var err error
	if d.Inherited.Audit != nil {
		d.conn, err = netlinkaudit.FileConn(d.Inherited.Audit, &cfg)
		d.Inherited.Audit.Close() // or Go's poller would be woken by each message
	} else {
		d.conn, err = netlinkaudit.Listen(&cfg)
	}
	if err != nil {
		return err
	}
	if d.Inherited.Audit == nil && !d.conn.NamespaceVerified() {
		d.log.Warn("whether this is the initial network namespace cannot be seen without /proc/sys/net, and in another one nothing would ever be heard: mount /proc without subset=pid, or use the socket unit")
	}
	if granted := d.conn.ReadBuffer(); granted < cfg.ReadBuffer {
		d.log.Warn("the receive buffer is smaller than asked for, so bursts are lost earlier: give the daemon CAP_NET_ADMIN, use the socket unit, or raise net.core.rmem_max",
			zap.Stringer("asked", d.Config.Source.ReceiveBuffer), zap.Stringer("granted", units.Size(granted)))
	}
	return nil
}

// types returns the types of records that the kernel's filter lets through.
func (d *daemon) types(withoutCompanions bool) []uint16 {
	if withoutCompanions || d.Config.Source.Companions != config.CompanionsAuto {
		return ipe.Types()
	}
	return append(ipe.Types(), ipe.Companions(d.Config.Source.Proctitle)...)
}

// openCompanions prepares to find out who asks.
func (d *daemon) openCompanions() *companions {
	src := &d.Config.Source
	c := newCompanions(src.Companions == config.CompanionsAuto, src.Join, func(off bool) error { return d.conn.SetTypes(d.types(off)) })
	proc := d.Proc
	if proc == "" && d.Protocol == 0 { // or the processes are not of this host
		proc = "/proc"
		if err := procinfo.Usable(); err != nil {
			d.log.Warn("where a process runs cannot be seen, so accesses do not name their unit or container: /proc shows no processes of others; mount it without hidepid=, and run without ProtectProc=", zap.Error(err))
			proc = ""
		}
	}
	if proc == "" {
		return c
	}
	c.asker = procinfo.NewAsker(proc)
	c.asker.Named = c.Companions
	c.asker.Append = func(text []byte) {
		d.spool.Append([]spool.Record{{Type: entry.TypeProcess, Time: time.Now().UnixNano(), Data: text, Attachment: true}})
	}
	return c
}

// auditEnabled reports whether the kernel makes companions.
func (d *daemon) auditEnabled() (on, known bool) {
	st := d.audit.Status()
	return st.Enabled != 0, st.Known
}

// openSpool opens the spool where the configuration says.
func (d *daemon) openSpool() error {
	var err error
	if d.boot, err = bootid.Current(); err != nil {
		d.log.Warn("the boot is not known, so the spool begins anew after every start", zap.Error(err))
	}
	cfg := d.Config.Spool
	opened := make(chan struct{})
	defer close(opened) // the annotator too
	defer d.extendTimeout()()
	s, err := spool.Open(spool.Options{
		Dir: cfg.Dir, Size: int64(cfg.Size), Memory: int64(cfg.Memory), Sync: max(cfg.Sync, time.Millisecond),
		BootID: d.boot, Delivered: spool.LoadCursors(d.dir(cursorsDir)),
		Notify: func(c spool.Change) { <-opened; d.spoolChanged(c) },
	})
	if errors.Is(err, spool.ErrLocked) {
		return fmt.Errorf("%w: is another ipe-auditd running? One state directory (%s) serves one daemon", err, cfg.Dir)
	}
	if err != nil {
		return err
	}
	d.spool = s
	d.openAnnotator()
	d.emitter.spool = d.annotator
	return nil
}

// spoolChanged says aloud what happened to the spool.
func (d *daemon) spoolChanged(c spool.Change) {
	log := d.log.With(zap.Stringer("id", c.ID), zap.String("file", c.File), zap.Error(c.Err))
	switch c.Kind {
	case spool.WentToMemory:
		log.Error("the spool's disk failed: events are kept in memory until it is back, and would be lost with this process")
		// Nothing is lost by that yet.
		d.emitter.emit(&ipe.Event{Kind: ipe.KindLost, Stage: []byte(ipe.StageMemory), Accuracy: ipe.AccuracyExact, Has: ipe.HasCount})
	case spool.TailUncertain, spool.MemoryUncertain:
		log.Error("the last process or the machine did not end in order: the newest events it had may be gone (" + c.Kind.String() + ")")
		d.tellDisk(ipe.Event{Accuracy: ipe.AccuracyUnknown})
	case spool.TailLost:
		log.Error("the newest events of the last process are gone: its mark, a sink's cursor or a damaged file shows that there were more", zap.Uint64("at_least", c.Count))
		lost := ipe.Event{Accuracy: ipe.AccuracyUnknown}
		if c.Count > 0 {
			lost = ipe.Event{Accuracy: ipe.AccuracyAtLeast, Has: ipe.HasCount, Count: c.Count}
		}
		d.tellDisk(lost)
	case spool.Moved:
		log.Error("the spool is a copy, such as one from a backup: what came after the copy was made is not in it")
		d.tellDisk(ipe.Event{Accuracy: ipe.AccuracyUnknown})
	case spool.BackOnDisk:
		log.Warn("the spool's disk is back: events are kept on disk again")
	case spool.LostInMemory:
		log.Error("events were kept in memory only and not delivered to every sink", zap.Uint64("count", c.Count))
	default:
		log.Warn("spool: "+c.Kind.String(), zap.Int64("bytes", c.Bytes), zap.Uint64("count", c.Count))
	}
}

// tellDisk says in the stream what the disk of the spool has done.
func (d *daemon) tellDisk(ev ipe.Event) {
	ev.Kind, ev.Stage = ipe.KindLost, []byte(ipe.StageDisk)
	d.emitter.emit(&ev)
}

// serve receives from the kernel until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	d.kernel = host.KernelRelease()
	entries := d.spool.NewReader(spool.Start{End: true})
	defer entries.Close()
	d.accesses = accesscount.New(entries, d.share.Task(fairshare.Sinks))
	state := d.observeState()
	logIPE(d.log, d.kernel, state)
	started := stateEvent(ipe.KindStarted, d.Version, d.kernel, state)
	d.emitter.emit(&started)

	d.losses = d.openLossTracker()
	d.receiver = newReceiver(d.conn, d.annotator)
	d.audit = d.openAuditWatch()
	d.receiver.watch, d.receiver.who = d.audit, d.who
	d.resume()
	accounts := &dropPoller{
		conn: d.conn, reporter: d.losses.reporter, kernel: d.losses.kernel, active: d.receiver.active,
		drops: d.losses.state.Drops, checked: d.losses.state.At,
	}

	d.backfill(ctx, state.Status == host.StatusActive || state.Status == host.StatusUnreadable)

	received := make(chan error, 1)
	go func() { received <- d.receiver.run() }()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { accounts.run(background) })
	wg.Go(func() { d.accesses.Run(background) })
	wg.Go(func() { d.losses.watch(background) })
	wg.Go(func() { d.audit.Run(background) })
	wg.Go(func() {
		d.who.run(background, d.auditEnabled, d.tellCompanions, func(err error) {
			d.log.Warn("the filter for the records that say who asked could not be changed", zap.Error(err))
		})
	})
	if d.who.asker != nil {
		wg.Go(func() { d.who.asker.Run(background) })
	}
	wg.Go(func() { d.writeTextfile(background) })
	wg.Go(func() { d.readPolicies(background) })
	d.heartbeats = make(chan time.Duration, 1)
	d.setHeartbeat(time.Duration(d.Config.Heartbeat))
	wg.Go(func() { d.sendHeartbeats(background) })
	if d.sealer != nil {
		wg.Go(func() { d.sealer.Run(background) })
	}
	saved := make(chan struct{})
	go func() { defer close(saved); d.savePolicies(background) }()
	d.serveAPI()

	granted := d.conn.ReadBuffer()
	d.log.Info("listening", zap.String("version", d.Version), zap.Bool("inherited_socket", d.Inherited.Audit != nil),
		zap.Stringer("receive_buffer", units.Size(granted)), zap.Stringer("spool", d.spool.End().ID))
	d.sinks.awaitOpen(ctx)
	status := d.statusLine()
	d.Notify("READY=1\nSTATUS=" + status)
	endWatchdog := d.startWatchdog(status)

	var err error
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-received:
			err = fmt.Errorf("receiving ended: %w", err)
			received <- nil
			running = false
		case <-d.Hangup:
			d.reload(ctx)
		}
	}

	endWatchdog()
	d.Notify("STOPPING=1\nSTATUS=Delivering what is spooled")
	d.stopReceiving()
	<-received
	stop()
	wg.Wait()
	if d.Inherited.Audit == nil {
		d.losses.addQueued(d.conn)
	}
	d.losses.close()
	select {
	case <-saved:
	case <-time.After(saveTimeout): // the disk hangs
	}
	d.emitter.emit(&ipe.Event{Kind: ipe.KindStopped, Version: []byte(d.Version), Kernel: []byte(d.kernel)})
	d.closeSealer()
	return err
}

// finish delivers what is spooled. With Input the sinks get all the time they
// are given.
func (d *daemon) finish(ctx context.Context) error {
	defer d.extendTimeout()()
	d.share.Resize(runtime.GOMAXPROCS(0)) // nobody receives any more
	if err := d.spool.Close(); err != nil {
		d.log.Error("the spool could not be closed in order; the next start begins a new one", zap.Error(err))
	}
	if d.api != nil {
		d.api.Close() // behind the spool, so that clients get the last event
	}
	timeout := drainTimeout
	if d.Input != nil && ctx.Err() == nil {
		timeout = 0
		if !d.deadline.IsZero() {
			timeout = max(time.Until(d.deadline), lastMoment)
		}
	}
	late := d.sinks.wait(ctx, timeout)
	if len(late) == 0 {
		return nil
	}
	d.log.Warn("stopped before every sink had everything; the rest is delivered by the next start, if the spool is on disk", zap.Strings("sinks", late))
	if d.Input != nil {
		return fmt.Errorf("not everything was delivered in time to %v", late)
	}
	return nil
}

// dir returns the folder for what must survive a restart beside the spool, or
// the empty string when nothing can.
func (d *daemon) dir(name string) string {
	if d.Config.Spool.Dir == "" {
		return ""
	}
	return filepath.Join(d.Config.Spool.Dir, name)
}
