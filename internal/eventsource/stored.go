package eventsource

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/activepolicy"
	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/bootid"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// stored is a source that reads entries of a spool: from the daemon that has it,
// or from its directory.
type stored struct {
	entries entries
	joined  *entry.Joiner // of entries
	decoder entry.Decoder
	host    func() []byte // of the entries; nil if that is not known
	origin  string        // for errors
}

// entries are those of a spool.
type entries interface {
	Next() (*spool.Entry, error)
	Close() error
}

// past makes entries a source that never has to wait.
type past struct{ entries }

func (p past) TryNext() (*spool.Entry, bool, error) {
	e, err := p.entries.Next()
	return e, err == nil, err
}

func (p past) Next(context.Context) (*spool.Entry, error) { return p.entries.Next() }

// Rewind is never called.
func (past) Rewind(spool.Cursor) {}

func newStored(list entries, d entry.Decoder, origin string) *stored {
	return &stored{entries: list, joined: entry.NewJoiner(past{list}), decoder: d, origin: origin}
}

// openDirectory reads a spool directory.
func openDirectory(dir string, since time.Time) (*stored, error) {
	boot, _ := bootid.Current() // without it, less can be said of the end
	entries, err := segment.OpenOffline(dir, boot, since)
	if err != nil {
		return nil, err
	}
	entries.Attachments = true
	policies, err := activepolicy.LoadTable(dir)
	if err != nil {
		policies = activepolicy.NewTable() // the order of the events still tells something
	}
	return newStored(entries, entry.Decoder{Policy: policies.Policy}, dir), nil
}

// openFeed reads the feed of the running daemon.
func openFeed(ctx context.Context, socket string, since time.Time, after *spool.Cursor) (*stored, error) {
	parameters := url.Values{"follow": {"false"}}
	if !since.IsZero() {
		parameters.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if after != nil {
		parameters.Set("after", after.String())
	}
	entries, err := api.NewClient(socket).Entries(ctx, parameters)
	if err != nil {
		return nil, err
	}
	s := newStored(entries, entry.Decoder{Policy: entries.Policy}, "the daemon at "+socket+" broke off")
	s.host = entries.Host
	return s, nil
}

func (s *stored) next(ev *Event) error {
	for {
		*ev = Event{Event: ev.Event}
		e, _, err := s.joined.TryNext()
		if s.host != nil {
			s.decoder.Host = s.host()
		}
		var id format.Identity
		switch {
		case err != nil:
			if err = s.missed(ev, &id, err); err != nil {
				return err
			}
		case s.decoder.Decode(&ev.Event, &id, e) != ipe.ClassIPE:
			continue
		}
		ev.identify(&id)
		return nil
	}
}

// missed makes ev the loss that an error of the entries tells, and returns any
// other error.
func (s *stored) missed(ev *Event, id *format.Identity, err error) error {
	var gap *spool.GapError
	if !errors.As(err, &gap) {
		return err
	}
	s.decoder.Missed(&ev.Event, id, gap)
	if errors.Is(gap, segment.ErrUnclosed) {
		ev.Stage = []byte(ipe.StageDisk) // as the daemon says it at its next start
	}
	return nil
}

func (s *stored) close() { s.entries.Close() }
