package spool

import "github.com/ipe-auditd/ipe-auditd/internal/spool/segment"

// What is at rest on the disk is the same in memory, and for readers.
type (
	// ID names one gapless run of entries.
	ID = segment.ID
	// Cursor is the identity of an entry: how far a reader has delivered.
	Cursor = segment.Cursor
	// Record is what is appended.
	Record = segment.Record
	// Entry is one record at rest. The entry and its Data live until the
	// reader's next call.
	Entry = segment.Entry
	// Attachment is a record that belongs to an event.
	Attachment = segment.Attachment
	// GapError says that entries are gone which a reader should have got.
	GapError = segment.GapError
)

// MaxData is the longest data of an entry in bytes.
const MaxData = segment.MaxData

// ErrDamaged is the reason of a gap whose entries were there, but not sound.
var ErrDamaged = segment.ErrDamaged

// ParseCursor reads what [Cursor.String] writes.
func ParseCursor(s string) (Cursor, error) { return segment.ParseCursor(s) }
