package seal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"

	"github.com/ipe-auditd/ipe-auditd/internal/entry"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// maxLine is how long a line may be in bytes: checkpoints are the longest.
const maxLine = 4 << 20

// Verifier compares events with the checkpoints among them. It holds some 80 bytes
// for each event and 48 for each that is sealed.
type Verifier struct {
	keys    []note.Verifier
	anchors bool // only checkpoints are taken
	logs    map[spool.ID]*log
	order   []spool.ID
	general Report // what is of no spool

	sources []string
	hasher  hasher
	parser  format.Parser
	event   ipe.Event
	again   []byte
}

// NewVerifier returns a Verifier that believes what one of the keys signed.
func NewVerifier(keys []note.Verifier) *Verifier {
	return &Verifier{keys: keys, logs: make(map[spool.ID]*log)}
}

// log is what was seen of one spool.
type log struct {
	seen        []seen
	checkpoints []checkpoint
	hosts       map[origins]seen // those that lines name, and the first line
	problems    []Problem        // found on the way
	latest      uint64           // in the source that is read
	unnamed     uint64           // lines without a seq
	uncertain   bool             // a spool tells that it may have had more
}

// origins is what a line says of where it is from.
type origins struct{ host, boot string }

// seen is one occurrence of an event.
type seen struct {
	seq    uint64
	leaf   Leaf
	source int32
	line   uint64 // 0: an entry of a spool
	raw    bool   // the leaf has the text of the record
	late   bool   // behind a later one of the same source
}

// checkpoint is one that holds.
type checkpoint struct {
	*Checkpoint
	leaves []Leaf
	place  seen
}

func (v *Verifier) log(id spool.ID) *log {
	l := v.logs[id]
	if l == nil {
		l = &log{hosts: make(map[origins]seen)}
		v.logs[id] = l
		v.order = append(v.order, id)
	}
	return l
}

// begin begins a source.
func (v *Verifier) begin(name string, anchors bool) {
	v.sources = append(v.sources, name)
	v.anchors = anchors
	for _, l := range v.logs {
		l.latest = 0
	}
}

func (v *Verifier) place(line uint64) seen {
	return seen{source: int32(len(v.sources) - 1), line: line}
}

// problem is something that was altered.
func (v *Verifier) problem(at seen, seq uint64, why string) Problem {
	return Problem{Source: v.sources[at.source], Line: at.line, Seq: seq, Problem: why}
}

// Lines reads events in JSON, as sinks write them. With anchors only checkpoints in
// them count. The error is that of r.
func (v *Verifier) Lines(name string, r io.Reader, anchors bool) error {
	v.begin(name, anchors)
	in := bufio.NewReaderSize(r, 64<<10)
	var long []byte
	for n := uint64(1); ; n++ {
		line, err := in.ReadSlice('\n')
		for long = long[:0]; errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine; line, err = in.ReadSlice('\n') {
			long = append(long, line...)
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if len(line) > 0 {
			v.line(line, v.place(n))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d is longer than any that ipe-auditd writes", n)
		case err != nil:
			return err
		}
	}
}

// line reads one line, with its newline.
func (v *Verifier) line(line []byte, at seen) {
	var id format.Identity
	ev := &v.event
	if v.parser.Parse(ev, &id, bytes.TrimSuffix(line, []byte("\n"))) != nil {
		if !v.anchors {
			v.general.altered(v.problem(at, 0, "the line is no event that this release can read"))
		}
		return
	}
	c := format.Context{Identity: id, Raw: ev.Raw != nil}
	if v.again = format.AppendJSON(v.again[:0], ev, &c); !bytes.Equal(v.again, line) {
		if !v.anchors {
			v.general.altered(v.problem(at, id.Seq, "the line is not as ipe-auditd writes it"))
		}
		return
	}
	l := v.log(spool.ID(id.Spool))
	if !v.anchors {
		if o := (origins{string(id.Host), string(id.BootID)}); l.hosts[o] == (seen{}) {
			l.hosts[o] = at
		}
	}
	if id.Partial && id.PrevSeq != l.latest && l.latest != 0 && id.Seq > l.latest {
		// A sink with a match says which event it was given before.
		l.problems = append(l.problems, v.problem(at, id.Seq, fmt.Sprintf("the line before it was seq %d, and is not here", id.PrevSeq)))
	}
	at.leaf, at.raw = v.hasher.leaf(ev, &id), !ev.HasRecord() || ev.Raw != nil
	v.observe(l, ev, id.Seq, at)
}

// Entries reads the entries of a spool until next fails, and returns that error, nil
// for io.EOF. What is missing between them is told by their numbers.
func (v *Verifier) Entries(name string, d *entry.Decoder, next func() (*spool.Entry, error)) error {
	v.begin(name, false)
	var gap *spool.GapError
	for {
		e, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && errors.As(err, &gap):
			if !gap.Known {
				v.log(gap.ID).uncertain = true
			}
		case err != nil:
			return err
		case !e.Attachment:
			at := v.place(0)
			at.leaf, _ = leafOf(&v.hasher, d, &v.event, e)
			at.raw = true
			v.observe(v.log(e.ID), &v.event, e.Seq, at)
		}
	}
}

// observe counts an event.
func (v *Verifier) observe(l *log, ev *ipe.Event, seq uint64, at seen) {
	if ev.Kind == ipe.KindCheckpoint {
		v.checkpoint(ev, seq, at)
	}
	switch {
	case v.anchors:
		return
	case seq == 0:
		l.unnamed++
		return
	}
	at.seq, at.late = seq, seq < l.latest
	l.latest = max(l.latest, seq)
	l.seen = append(l.seen, at)
}

// checkpoint takes a checkpoint, if it holds.
func (v *Verifier) checkpoint(ev *ipe.Event, seq uint64, at seen) {
	c, leaves, err := check(ev, v.keys)
	switch {
	case errors.Is(err, errUnsigned):
		v.general.Foreign++
	case err != nil:
		v.general.altered(v.problem(at, seq, "checkpoint: "+text.Printable(err.Error())))
	default:
		l := v.log(c.Spool)
		l.checkpoints = append(l.checkpoints, checkpoint{c, leaves, at})
	}
}
