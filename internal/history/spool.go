package history

import (
	"errors"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/inforce"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// directory is a source that reads a spool directory.
type directory struct {
	name    string
	entries *spool.Offline
	decoder entry.Decoder
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
	return &directory{name: dir, entries: entries, decoder: entry.Decoder{Policy: policies.Policy}}, nil
}

func (d *directory) next(ev *Event) error {
	for {
		ev.Reset()
		var id format.Identity
		e, err := d.entries.Next()
		var gap *spool.GapError
		switch {
		case errors.As(err, &gap):
			d.decoder.Missed(&ev.Event, &id, gap)
			if errors.Is(gap, spool.ErrUnclosed) {
				ev.Stage = []byte("disk") // as the daemon says it at its next start
			}
		case err != nil:
			return err
		case d.decoder.Decode(&ev.Event, &id, e) != ipe.ClassIPE:
			continue
		}
		ev.identify(&id)
		return nil
	}
}

func (d *directory) close() { d.entries.Close() }
