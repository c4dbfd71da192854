package sink

import (
	"context"

	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Cursor is a place in the spool.
type Cursor = spool.Cursor

// Entry is one event as it is lent to a sink. It lives until Write returns.
type Entry struct {
	Event *ipe.Event
	Bytes []byte // in the sink's format, whole; line formats end in a newline

	// Where it stands in the spool; Seq is 0 for events that are no entry.
	Cursor Cursor
}

// Sink delivers entries to one place. The runner is its only caller and calls
// from one goroutine; only Close may also be called from another one, while
// another method blocks.
//
// Rules for implementers:
//   - Open acquires what delivery needs. It is called again after Close: every
//     failure of Write or Flush is followed by Close, a pause and Open.
//   - Write takes one whole entry or returns an error. It may buffer, must copy
//     what it keeps, and must not write a torn entry that it does not repair.
//   - Flush returns nil when everything written since Open is delivered, as far
//     as this kind of sink can promise it. Only then does the cursor move; what
//     was not flushed is written again after the next Open.
//   - All three return soon after ctx ends or Close is called. Write and Flush on
//     a sink that is not open return an error: Close may have come in between.
//   - Close releases everything that Open acquired, loses no flushed entry, and
//     may be called on a sink that is not open. It leaves no goroutine and no
//     descriptor behind.
//
// Package sinktest checks these rules.
type Sink interface {
	Open(ctx context.Context) error
	Write(ctx context.Context, e *Entry) error
	Flush(ctx context.Context) error
	Close() error
}

// Causer is a Sink whose deliveries cause events that it then leaves out. Caused
// reports whether ev is one of those; they are never counted with others, which
// would make an event that the sink cannot tell any more. It is called between
// the other methods.
type Causer interface {
	Caused(ev *ipe.Event) bool
}

// Counter is something that a sink counts beside what the runner does.
type Counter struct {
	Name  string // as in status; metrics put sink_ before it and _total behind it
	Help  string // one sentence
	Label string // what tells counters of one name apart; empty if there is one only
	Value string // of the label
	Count uint64
}

// Counting is a Sink with counters. Any goroutine may call Counters; it returns all
// of them, also those that are 0, always in the same order.
type Counting interface {
	Counters() []Counter
}

// Refused is what a receiver refused for good, or did not keep.
type Refused struct {
	// Of the one event that it is; of several, KindLost and StageSink stand for
	// events that tell of such a loss, all of them.
	Kind   ipe.Kind
	Stage  string // of a KindLost
	Cursor Cursor // of its entry; Seq is 0 for events that are no entry, and for several

	Count   uint64 // how many events, 0 for one
	Unknown bool   // whether they are lost is not known, or how many are

	Reason string // for a person, in one line
}

// Undelivering is a Sink whose Flush passes entries that turn out to be not taken.
type Undelivering interface {
	// Undelivered returns how many of the entries that Flush has passed are not
	// known to be taken, or were given up. Any goroutine may call it, and entries
	// that are being flushed may be among them already.
	Undelivered() uint64
}

// Resender is a Sink whose receiver acknowledges nothing, so that what Flush has
// passed may turn out to be not taken. It keeps that for a while, and sends it again
// with the next Flush.
type Resender interface {
	Sink
	Undelivering

	// Alive returns a context that ends when Flush has to be called although
	// nothing was written, nil if there is nothing that could make it so.
	Alive() context.Context

	// Confirm is Flush, but waits until all that Flush has passed is taken, as far
	// as this kind of sink can know. It is called when there will be no other entry.
	Confirm(ctx context.Context) error
}
