package sink

import (
	"context"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Entry is one event as it is lent to a sink. It lives until Write returns.
type Entry struct {
	Event *ipe.Event
	Bytes []byte // in the sink's format, whole; line formats end in a newline
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
