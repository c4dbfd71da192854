package history

import (
	"errors"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// directory is a source that reads a spool directory.
type directory struct {
	name     string
	entries  *spool.Offline
	policies *inforce.Table
	decoder  ipe.Decoder
	bootID   []byte
	boot     [16]byte // what bootID says
}

func openDirectory(dir string, since time.Time) (*directory, error) {
	boot, _ := host.CurrentBootID() // without it, less can be said of the end
	entries, err := spool.OpenOffline(dir, boot, since)
	if err != nil {
		return nil, err
	}
	policies, err := inforce.LoadTable(dir)
	if err != nil {
		policies = inforce.NewTable() // the order of the events still tells something
	}
	return &directory{name: dir, entries: entries, policies: policies}, nil
}

func (d *directory) next(ev *Event) error {
	for {
		ev.Reset()
		e, err := d.entries.Next()
		var gap *spool.GapError
		switch {
		case errors.As(err, &gap):
			sink.Missed(&ev.Event, gap)
			if errors.Is(gap, spool.ErrUnclosed) {
				ev.Stage = []byte("disk") // as the daemon says it at its next start
			}
			return nil
		case err != nil:
			return err
		case d.decoder.Decode(&ev.Event, e.Type, e.Data) != ipe.ClassIPE:
			continue
		}
		ev.At = e.Cursor()
		if p := d.policies.Policy(e.Context); p != nil && ev.Kind == ipe.KindAccess {
			ev.ActivePolicy = *p
		}
		if e.BootID != d.boot {
			d.boot, d.bootID = e.BootID, []byte(host.BootID(e.BootID).String())
		}
		if len(d.bootID) > 0 {
			ev.BootID = d.bootID
		}
		return nil
	}
}

func (d *directory) close() { d.entries.Close() }
