package daemon

import (
	"cmp"
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// policyPause is the least time between two readings of securityfs for the policy
// in force, and before a save that failed is tried again.
const policyPause = time.Second

// saveTimeout is how long a stopping daemon waits for the disk to have what the
// numbers of policies mean. Without, the next one does not know some of them.
const saveTimeout = 2 * time.Second

// openAnnotator prepares to say which policy judged an access. What fails of that
// costs no event.
func (d *daemon) openAnnotator() {
	dir := d.dir("")
	if dir == "" {
		d.policies = activepolicy.NewTable()
	} else {
		var err error
		if d.policies, err = activepolicy.OpenTable(dir, d.highestContext); err != nil {
			d.log.Warn("the policies that judged earlier events, or will judge later ones, may not be known", zap.Error(err))
		}
	}
	d.annotator = activepolicy.NewAnnotator(d.spool, d.policies)
}

// highestContext returns the highest number in the spool. It is looked for where
// the table that says what the numbers mean is gone.
func (d *daemon) highestContext() (highest uint16) {
	r := d.spool.NewReader(spool.Start{})
	defer r.Close()
	for misses := 0; misses < 1000; { // a disk that cannot be read ends it
		e, ok, err := r.TryNext()
		switch {
		case err != nil:
			misses++
		case !ok:
			return highest
		default:
			highest = max(highest, e.Context&^entry.ContextOff)
		}
	}
	return highest
}

// resume goes on where the last process stood, if that ended in order and the
// socket, which is the same, has dropped nothing since. Otherwise activations
// that are queued at the socket tell what is in force, unless anything was lost
// that may be the next one.
func (d *daemon) resume() {
	drops, err := d.conn.Drops()
	told := uint32(drops) == uint32(d.losses.state.Drops) // the kernel counts in 32 bits
	d.losses.resumed = d.losses.sameSocket && told && err == nil && d.annotator.Resume(d.lastContext())
	if !d.losses.resumed && (drops > 0 || err != nil) {
		d.annotator.Lost(time.Now().UnixMilli())
	}
}

// lastContext returns the context of the event that ended the last process, 0 if
// the spool does not end with one of this boot.
func (d *daemon) lastContext() uint16 {
	end := d.spool.End()
	if end.Seq == 0 {
		return 0
	}
	r := d.spool.NewReader(spool.Start{After: &spool.Cursor{ID: end.ID, Seq: end.Seq - 1}})
	defer r.Close()
	e, ok, _ := r.TryNext()
	if !ok || e.Cursor() != end || e.BootID != d.boot || d.boot == (bootid.ID{}) {
		return 0
	}
	var decoder entry.Decoder
	var ev ipe.Event
	var id format.Identity
	if decoder.Decode(&ev, &id, e); ev.Kind != ipe.KindStopped {
		return 0 // that process was killed, and may have taken an activation with it
	}
	return e.Context &^ entry.ContextOff
}

// securityfs returns where IPE says how it stands.
func (d *daemon) securityfs() *host.Securityfs {
	fs := &host.Securityfs{Root: cmp.Or(d.Sysfs, "/sys")}
	if f := d.Inherited.Enforce; f != nil {
		fs.Enforce = f
	}
	if f := d.Inherited.SuccessAudit; f != nil {
		fs.SuccessAudit = f
	}
	return fs
}

// inForce returns what is in force. The mode is read anew, for a switch is one file
// to look at; the policy is what the records say, for those above its files may
// hide it from the daemon's user.
func (d *daemon) inForce() api.InForce {
	is := d.annotator.State()
	force := api.InForce{Policy: is.Word()}
	if is.Active {
		force.Name, force.Version, force.Digest = string(is.Policy.Name), string(is.Policy.Version), string(is.Policy.Digest)
	}
	if !is.Known && d.securityfs().IPE().Status == host.StatusAbsent {
		force.Policy, force.NoIPE = "none", true
	}
	enforcing := d.securityfs().Mode()
	if !enforcing.Known() {
		enforcing = is.Enforcing
	}
	if enforcing.Known() {
		on := enforcing == ipe.True
		force.Enforcing = &on
	}
	return force
}

// observeState reads how IPE stands, and tells the annotator.
func (d *daemon) observeState() host.IPE {
	fs := d.securityfs()
	state := fs.IPE()
	again := fs.IPE()
	if state.Status != again.Status || !state.Policy.Equal(&again.Policy) {
		return again // it changes right now, so neither need be true
	}
	now := time.Now().UnixMilli()
	switch state.Status {
	case host.StatusActive:
		d.annotator.Read(&state.Policy, now)
	case host.StatusNoPolicy:
		d.annotator.Read(nil, now)
	}
	return again
}

// readPolicies reads securityfs when records come and the policy in force is not
// known, until ctx ends.
func (d *daemon) readPolicies(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.annotator.NeedsRefresh():
			d.observeState()
		}
		wait(ctx, policyPause)
	}
}

// savePolicies keeps the numbers of new policies until ctx ends, and says then
// that there are no others.
func (d *daemon) savePolicies(ctx context.Context) {
	defer d.savePolicyTable(true)
	var refused uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.policies.Changed():
		}
		for !d.savePolicyTable(false) {
			if wait(ctx, policyPause) {
				return
			}
		}
		if n := d.policies.Refused(); n != refused {
			refused = n
			d.log.Warn("there were too many policies, so events do not say by which one they are judged from now on")
		} else {
			d.annotator.Renumber()
		}
	}
}

// savePolicyTable keeps what the numbers of policies mean. With final no others
// will be given. It reports whether that succeeded. One goroutine at a time may
// call it.
func (d *daemon) savePolicyTable(final bool) bool {
	dir := d.dir("")
	if dir == "" {
		return true
	}
	err := d.policies.Save(dir, final)
	if err != nil && !d.unsaved {
		d.log.Warn("the policies in force cannot be kept, so what judged an access may not be known later", zap.Error(err))
	}
	d.unsaved = err != nil
	return err == nil
}

// wait waits for some time and reports whether ctx ended before.
func wait(ctx context.Context, pause time.Duration) (ended bool) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return true
	case <-t.C:
		return false
	}
}
