package daemon

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/auditstate"
	"github.com/ipe-auditd/ipe-auditd/internal/auditwatch"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// openAuditWatch prepares to tell who takes IPE's records away.
func (d *daemon) openAuditWatch() *auditwatch.Watch {
	ask, source := d.auditState()
	return auditwatch.New(auditwatch.Options{
		Ask: ask, Source: source,
		IPE:  func() host.Watched { return d.securityfs().Watched() },
		Emit: d.emitAuditChange,
		Dir:  d.dir(""), BootID: d.boot.String(),
		Warn: func(err error) {
			d.log.Warn("changes of audit that were told may be told again after the next start", zap.Error(err))
		},
	})
}

// auditState returns how to ask how audit stands: the kernel itself where that is
// permitted, else the helper.
func (d *daemon) auditState() (ask func(context.Context) (auditstate.State, error), source string) {
	helper := func(path string) func(context.Context) (auditstate.State, error) {
		return func(ctx context.Context) (auditstate.State, error) { return auditstate.Ask(ctx, path) }
	}
	if d.AuditState != "" {
		return helper(d.AuditState), "helper"
	}
	if d.Protocol != 0 {
		return nil, "" // what the kernel says is not about our socket
	}
	if _, err := host.QueryAudit(); err != nil {
		return helper(auditstate.Socket), "helper"
	}
	return func(context.Context) (auditstate.State, error) {
		st := auditstate.Collect()
		if st.Status == nil {
			return st, errors.New(st.Error)
		}
		return st, nil
	}, "own"
}

// emitAuditChange puts a change that was found into the stream and into the log.
func (d *daemon) emitAuditChange(ev *ipe.Event) {
	d.emitter.emit(ev)
	say := d.log.Info
	if ipe.AuditImpact(ev) != ipe.ImpactNone {
		say = d.log.Warn
	}
	say("what is recorded was changed: "+string(ev.Effect),
		zap.ByteString("what", ev.What), zap.ByteString("old", ev.Old), zap.ByteString("new", ev.New))
}

// auditStatus fills in how audit stands.
func (d *daemon) auditStatus(st *api.Status) {
	audit := d.audit.Status()
	out := &api.Audit{Source: audit.Source, Asked: audit.Asked, Changes: audit.Counts, Degraded: []api.Degraded{}}
	if audit.Err != nil {
		out.Error = audit.Err.Error()
	}
	if audit.Known {
		out.Kernel = &api.AuditKernel{Enabled: audit.Enabled, Failure: audit.Failure, Auditd: audit.Auditd, RateLimit: audit.Rate, BacklogLimit: audit.Backlog}
	}
	for _, g := range audit.Degraded {
		out.Degraded = append(out.Degraded, api.Degraded{What: g.What, Old: g.Old, New: g.New, Effect: g.Effect, Since: g.Since})
	}
	st.Audit = out
}
