// Package history reads what happened before: one stream of typed events for
// the commands that answer questions, wherever the events rest.
//
// [Open] takes them from
//
//   - the running daemon, over the socket of its feed;
//   - the spool directory that it is configured with, when no daemon runs;
//   - any spool directory, read without its lock and without changing anything;
//   - files, in all forms that package input reads, and the JSON lines that this
//     module writes, also those of a rotated file that is compressed.
//
// It needs no more rights than to connect to that socket or to read those
// files, and takes none.
//
// # What it promises
//
// Events come in the order of their source; several files in the order of
// their first events, because the shell sorts events.json before
// events.json.20261123T133538.497Z.gz, which is older. What a source has twice
// under one identity, as a sink that delivers at least once may write it, comes
// once. What is missing is an event too: a gap in a spool is a "lost", and what
// cannot be read is "unparsed" with its text, like a record that cannot be.
// [Event.Skipped] says how many entries a source leaves out by its sequence
// numbers without calling them lost, which a file with a match does.
//
// An error of [History.Next] ends one source, not the history.
//
// Which policy was in force is concluded on the way, as package inforce says,
// also from the events before Options.Since where there are any: at a loss, at
// entries left out, with another boot or host, and where another file begins
// that does not go on with the next sequence number, it is no longer known.
//
// # Memory
//
// One event at a time is in memory, and one line or datagram of at most 1 MiB.
// All slices of an [Event] live until the next call of [History.Next].
package history
