// Package sink holds the contract of a sink, and the runner that brings one the
// entries of the spool.
//
// There is one [Runner] for each sink, in a goroutine of its own, with a reader
// of the spool of its own: whatever a sink does, no other one notices. The
// runner reads, decodes, matches, formats, writes; when the spool has nothing
// more at once, or the batch is full, it flushes; and then, not before, it moves
// the sink's cursor.
//
// # What is promised
//
//   - Order: a sink gets entries in the order of the spool.
//   - At least once: the cursor is saved after the flush, shortly later (see
//     [Config].Save), so after a crash or kill -9 what was flushed in the last
//     moments comes again. After a stop that let [Runner.Run] return nothing
//     does, and nothing is missing.
//   - After a failure the sink is closed, opened again after a pause, and gets
//     everything again that was not flushed. The first batch after a failure is
//     one entry, and then they grow: so a sink that fails now and then, or at
//     one entry, still moves on.
//   - Entries that the spool gave up before the sink came are told to this sink
//     alone, at their place, as an event "lost" without identity.
//   - With [Config].Coalesce, accesses that repeat one which was delivered are
//     counted, and told in an event "repeated". Each entry is then either
//     delivered or counted, once. What is counted and not told stays behind the
//     cursor that is saved: after a crash it is counted again, and what came
//     between is delivered again.
//
// # Memory
//
// An entry's bytes are the runner's, the event views the spool: both are lent
// to Write until it returns. The runner allocates nothing per entry; its memory
// is one formatted entry and what the decoder needs for the longest record, and
// at most 4 MiB for what it counts.
//
// The package refuses to give up an entry that a sink does not want, to keep
// entries in memory while a sink fails, and to put a time limit on a single
// call: sinks know how long they may wait.
package sink
