package segment

// Record is what is appended.
type Record struct {
	Type    uint16 // record type
	Context uint16 // a number that the spool carries without knowing what it means; 0: none
	Time    int64  // receive time, Unix nanoseconds
	Data    []byte // copied; see MaxData
	Urgent  bool   // sync at once, without making the appender wait

	// Attachment says that this is no event but belongs to one: it gets no
	// sequence number, and only readers that ask for attachments get it.
	Attachment bool
	// Event is the event that an attachment belongs to, as Append returned it.
	// The reference is kept if that was appended under the id that the
	// attachment is appended under. The zero value, or one of another id,
	// leaves it to the data to say which event it is, by stamp and serial.
	Event Cursor
}

// Entry is one record at rest. The entry and its Data live until the reader's
// next call. Data is shared with other readers and must not be written to.
type Entry struct {
	ID      ID
	Seq     uint64 // from 1, gapless within ID; of an attachment that of the newest event before it
	Time    int64  // receive time, Unix nanoseconds
	BootID  [16]byte
	Type    uint16
	Context uint16 // as appended
	Data    []byte

	// Attachment is set for what has no sequence number of its own; see
	// Record. Event is then the sequence number, within ID, of the event it
	// belongs to, or 0 where Data says which that is.
	Attachment bool
	Event      uint64

	// Attachments is what belongs to an event, where whoever gives the entry has
	// put that together. A Reader has not: it gives attachments as they stand.
	Attachments []Attachment
}

// Attachment is a record that belongs to an event.
type Attachment struct {
	Type uint16
	Data []byte
}

// Set takes over what f says.
func (e *Entry) Set(f *Frame) {
	e.Seq, e.Time, e.Type, e.Context, e.Data = f.At.Seq, f.Time, f.Type, f.Context, f.Data
	e.Attachment, e.Event = f.Attachment, f.Event
	if f.Attachment {
		e.Seq--
	}
}

// Cursor returns the entry's identity; that of an attachment says how far a
// reader has come, and names the newest event before it.
func (e *Entry) Cursor() Cursor { return Cursor{e.ID, e.Seq} }
