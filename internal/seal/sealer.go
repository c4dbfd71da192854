package seal

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/fairshare"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// MaxEvery is the most events between two checkpoints: an event of KindCheckpoint
// has 64 bytes for each of them.
const MaxEvery = 10_000

// Options say what a Sealer does.
type Options struct {
	Signer   note.Signer
	Every    int           // events between two checkpoints, 1 to MaxEvery
	Interval time.Duration // the longest that an event waits for one
	File     string        // keeps the tree over restarts; empty: nothing does
	Policy   func(context uint16) *ipe.Policy
	Join     time.Duration     // for how long an access waits for what belongs to it
	Expect   entry.Expectation // what there is to wait for; nil: nothing
	Host     func() []byte
	Emit     func(*ipe.Event) // puts an event into the stream, and sets its time
	Task     *fairshare.Task  // may be nil
}

// Sealer reads a spool and puts checkpoints of it into the stream. It is for one
// goroutine.
type Sealer struct {
	options Options
	reader  *spool.Reader
	source  *entry.Joiner // of reader
	decoder entry.Decoder
	hasher  hasher
	event   ipe.Event

	id      spool.ID
	boot    []byte // in which the newest event was received
	tree    Tree
	from    Tree   // at the checkpoint before
	pending []Leaf // since then
	news    bool   // some of them are no checkpoints
	due     time.Time
	err     error // that the tree could not be kept
}

// state is the content of Options.File.
type state struct {
	Spool string      `json:"spool"`
	Size  uint64      `json:"size"`
	Peaks []tlog.Hash `json:"peaks"`
}

// New returns a Sealer of the newest id of s. It goes on with the tree that was
// kept, if that is of this id, or begins one. Close must be called.
func New(s *spool.Spool, o Options) *Sealer {
	z := &Sealer{options: o, id: s.End().ID, decoder: entry.Decoder{Policy: o.Policy}}
	if kept, ok := load(o.File); ok && kept.Spool == z.id.String() && kept.Size <= s.End().Seq {
		if t := (Tree{kept.Size, kept.Peaks}); t.sound() {
			z.tree = t
		}
	}
	z.from = z.tree.clone()
	z.reader = s.NewReader(spool.Start{After: &spool.Cursor{ID: z.id, Seq: z.tree.size}, Attachments: true})
	z.source = entry.NewJoiner(z.reader)
	z.source.Wait, z.source.Expect = o.Join, o.Expect
	return z
}

func load(file string) (kept state, ok bool) {
	if file == "" {
		return kept, false
	}
	const longest = 16 << 10
	text, err := atomicfile.Read(atomicfile.OS{}, file, longest)
	if err != nil || json.Unmarshal(text, &kept) != nil {
		return kept, false
	}
	return kept, true
}

// workPerEvent is what sealing an event costs, in what a Task counts.
const workPerEvent = 8

// Run seals until ctx ends.
func (z *Sealer) Run(ctx context.Context) {
	defer z.options.Task.Leave()
	for ctx.Err() == nil {
		e, ok, err := z.source.TryNext()
		switch {
		case ok:
			if z.options.Task.Spend(ctx, workPerEvent) != nil {
				z.add(e)
				return
			}
			z.add(e)
			continue
		case err != nil && !isGap(err):
			return // the spool is closed
		case err != nil:
			continue // the next entry says how many are missing
		}
		z.options.Task.Leave()
		wait, cancel := ctx, context.CancelFunc(func() {})
		if z.news {
			wait, cancel = context.WithDeadline(ctx, z.due)
		}
		e, err = z.source.Next(wait)
		switch {
		case err == nil:
			z.add(e)
		case wait.Err() != nil && ctx.Err() == nil:
			z.checkpoint()
		case !isGap(err):
			cancel()
			return
		}
		cancel()
	}
}

// Finish seals what is there now.
func (z *Sealer) Finish() {
	z.source.Hurry()
	for {
		e, ok, err := z.source.TryNext()
		switch {
		case ok:
			z.add(e)
		case err == nil, errors.Is(err, io.EOF), !isGap(err):
			if z.news {
				z.checkpoint()
			}
			return
		}
	}
}

// Close ends the reading, and returns why the tree could not be kept, if that was so.
func (z *Sealer) Close() error { return errors.Join(z.err, z.reader.Close()) }

func isGap(err error) bool {
	var gap *spool.GapError
	return errors.As(err, &gap)
}

// add appends an entry to the tree.
func (z *Sealer) add(e *spool.Entry) {
	if e.ID != z.id {
		if z.news {
			z.checkpoint()
		}
		z.id, z.tree, z.from, z.pending, z.news = e.ID, Tree{}, Tree{}, nil, false
	}
	for z.tree.size < e.Seq-1 { // lost before it could be sealed
		z.append(&missing)
	}
	if e.Seq <= z.tree.size {
		return
	}
	leaf, boot := leafOf(&z.hasher, &z.decoder, &z.event, e)
	z.boot = append(z.boot[:0], boot...)
	if z.event.Kind != ipe.KindCheckpoint && !z.news {
		z.news, z.due = true, time.Now().Add(z.options.Interval)
	}
	z.append(&leaf)
	if z.event.Kind == ipe.KindHeartbeat && z.news {
		z.checkpoint()
	}
}

// append appends a leaf, and a checkpoint where one is due.
func (z *Sealer) append(l *Leaf) {
	z.tree.Append(l)
	z.pending = append(z.pending, *l)
	if len(z.pending) >= z.options.Every {
		z.checkpoint()
	}
}

// leafOf returns the leaf of an entry, and the boot in which it was received, and
// leaves in ev what it says.
func leafOf(h *hasher, d *entry.Decoder, ev *ipe.Event, e *spool.Entry) (l Leaf, boot []byte) {
	var id format.Identity
	if d.Decode(ev, &id, e) != ipe.ClassIPE {
		*ev = ipe.Event{}
		return noEvent(e.Data), id.BootID
	}
	return h.leaf(ev, &id), id.BootID
}

// checkpoint signs for what there is, and keeps the tree.
func (z *Sealer) checkpoint() {
	c := Checkpoint{
		Spool: z.id, Time: time.Now().UnixMilli(), Host: string(z.options.Host()), Boot: string(z.boot),
		Size: z.tree.size, Root: z.tree.Root(), from: z.from,
	}
	note, err := c.Sign(z.options.Signer)
	if err != nil {
		z.err = err
		return
	}
	ev := ipe.Event{
		Kind: ipe.KindCheckpoint, Has: ipe.HasStamp, Time: c.Time,
		Size: c.Size, Root: []byte(c.Root.String()), Note: note, Leaves: appendLeaves(nil, z.pending),
	}
	z.options.Emit(&ev)
	z.from, z.pending, z.news = z.tree.clone(), z.pending[:0], false
	if z.options.File == "" {
		return
	}
	text, _ := json.Marshal(state{z.id.String(), z.tree.size, z.tree.peaks})
	if err := atomicfile.Write(atomicfile.OS{}, z.options.File, text, os.FileMode(0o600), false); err != nil {
		z.err = err
	}
}
