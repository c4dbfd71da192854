// Package entry turns entries of the spool into events. It is the only place
// that does: sinks, the feed and the commands that ask about the past all read
// an entry by a [Decoder].
//
// What an entry holds is told by its type:
//
//   - the type of an audit record: the record as the kernel sent it;
//   - [TypeInternal]: an event in JSON that the daemon itself tells;
//   - [TypeImported]: something from an input, with the host and the boot that
//     the input names: a record, or an event in JSON, as [AppendImported]
//     writes it;
//   - [TypeBackfill]: a record of this host and boot that a log had.
//
// An event has the identity of its entry (spool id and sequence number), the boot
// in which the entry was received, and the host of the Decoder. An imported one
// has what the input says instead: of an event in JSON also its identity, so
// that it stays the same event wherever it is copied to. Where the input does
// not say it, the host is that of the Decoder, and the boot is not known.
//
// What belongs to an access stands in the spool as attachments, frames without a
// number of their own: its companions as the kernel sent them, and what /proc said
// of the process ([TypeProcess]). Stamp and serial say to which. A [Joiner] gives
// entries with their attachments, and a Decoder adds what they say to the event.
//
// Gaps between entries become events too, by [Decoder.Missed].
//
// # Memory
//
// An event views the data of its entry and the Decoder's scratch space, and its
// [format.Identity] the Decoder: both live until the next call, or until the
// entry is overwritten. A Decoder is for one goroutine and does not allocate in
// the long run.
package entry
