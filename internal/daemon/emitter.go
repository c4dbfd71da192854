package daemon

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// emitter puts the daemon's own events into the stream.
type emitter struct {
	spool   activepolicy.Appender
	mu      sync.Mutex
	buf     []byte
	context format.Context // names nothing: the entry does
}

// emit appends the event. It may be called from any goroutine.
func (t *emitter) emit(ev *ipe.Event) {
	now := time.Now()
	if ev.Has&ipe.HasStamp == 0 { // of a checkpoint the time is signed
		ev.Time, ev.Has = now.UnixMilli(), ev.Has|ipe.HasStamp
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = format.AppendJSON(t.buf[:0], ev, &t.context)
	t.spool.Append([]spool.Record{{Type: entry.TypeInternal, Time: now.UnixNano(), Data: t.buf, Urgent: true}})
}

// stateEvent says where the daemon runs and in which state IPE is.
func stateEvent(kind ipe.Kind, version, kernel string, state host.IPE) ipe.Event {
	return ipe.Event{
		Kind:         kind,
		Version:      []byte(version),
		Kernel:       []byte(kernel),
		IPEStatus:    []byte(state.Status),
		Enforcing:    state.Enforcing,
		SuccessAudit: state.SuccessAudit,
		Policy:       state.Policy,
	}
}

// logIPE says the same to the operator, with what it means.
func logIPE(log *zap.Logger, kernel string, state host.IPE) {
	log = log.With(zap.String("kernel", kernel))
	switch state.Status {
	case host.StatusAbsent:
		log.Warn("this kernel does not use IPE, so there will be no events; listening all the same (IPE needs Linux 6.12 with CONFIG_SECURITY_IPE, and ipe in lsm=)")
	case host.StatusNoPolicy:
		log.Info("IPE is there, but no policy is active: nothing is judged yet")
	case host.StatusActive:
		mode := "unknown mode"
		switch state.Enforcing {
		case ipe.True:
			mode = "enforcing"
		case ipe.False:
			mode = "permissive"
		}
		log.Info("IPE is active, "+mode, zap.ByteString("policy", state.Policy.Name), zap.ByteString("policy_version", state.Policy.Version))
	case host.StatusUnreadable:
		log.Info("the state of IPE cannot be read here (securityfs not mounted, or no right to read it); listening all the same")
	}
}
