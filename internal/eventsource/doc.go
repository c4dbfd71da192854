// Package eventsource reads what happened before: one stream of typed events for
// the commands that answer questions, wherever the events rest.
//
// [Open] takes them from
//
//   - the running daemon, over the socket of its feed;
//   - the spool directory that it is configured with, when no daemon runs;
//   - any spool directory, read without its lock and without changing anything;
//   - files, in all forms that package input reads, and the JSON lines that this
//     module writes, also those of a rotated file that is compressed;
//   - streams of NATS JetStream with the messages of our sink, to their end as it is
//     when they are opened.
//
// It needs no more rights than to connect to that socket or to read those
// files, and takes none.
//
// # What it promises
//
// Order is no evidence: the sources are read to their ends, in any order, and then
// the events come host by host and of each by time, whatever the order in which
// they were found. What is there more than once, as one entry of a spool or as one
// record of the kernel in whichever form, comes once; [Host] counts the rest.
//
// What is missing is an event too: a gap in a spool is a "lost", and what cannot be
// read is "unparsed" with its text, like a record that cannot be. [Host] says how
// many entries are missing by their sequence numbers. Several hosts can have one
// spool: clones, each with its own numbers, or the hosts of an input that a daemon
// has read, which have the numbers together.
//
// An error of [Stream.Next] ends one source, not the history.
//
// Which policy was in force is concluded on the way, as package activepolicy says, for
// each boot of each host, also from the events before Options.Since: at a loss and
// behind entries that are missing it is no longer known, and nowhere if something
// is missing that may be anywhere.
//
// # Memory
//
// Events are kept in a short form of some 50 bytes, what many have in common once.
// Beyond 32 MiB they go to temporary files, which are sorted and merged. Hosts take
// some 500 bytes each, and the sequence numbers 16 bytes for each gap. One line or
// datagram of at most 1 MiB is in memory besides. All slices of an [Event] live
// until the next call of [Stream.Next].
package eventsource
