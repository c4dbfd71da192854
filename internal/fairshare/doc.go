// Package fairshare bounds what the readers of the spool take of the processors
// together, and divides that fairly among them.
//
// The receiver of records has to be on time: what it does not take off the socket
// is lost. Readers need not be, for the spool waits for them. But a reader that
// catches up never blocks, and to Go's scheduler one goroutine is like another: of
// sixty-four that compute, with the writer of the spool among them, each gets a
// sixty-fourth of the processors. So any user who may read the feed could make
// the daemon lose records, without doing anything that is not allowed.
//
// A [Pool] has a number of places, one less than there are processors. A [Task],
// which is one reader, works only while it has a place. So however many readers
// there are, one processor is left to the receiver, and how long that waits for
// it does not depend on their number.
//
//   - Tasks wait for a place in the order in which they came. After an amount of
//     work, counted in records and not in time, a task gives way to those who wait.
//   - Tasks are of a [Class]. While several classes wait, each gets the same amount
//     of work done: all clients of the feed together do not slow the sinks down by
//     more than half.
//   - A task that blocks gives its place up before. One that does not know that it
//     will (a cold disk, a pipe that is full) loses its place after some
//     milliseconds without progress, and learns of it when it goes on.
//   - A task stops waiting when its context ends.
//   - While nobody waits a turn costs two uncontended locks, and a record a few
//     nanoseconds. Nothing is allocated, and no timer runs.
//
// # What it refuses to do
//
// It does not measure time, and it makes nobody stop: a task that computes for
// long between two calls of [Task.Spend] has its place for as long, or loses it
// and goes on computing. What a record can cost is bounded where it is computed.
//
// # Memory
//
// A Task belongs to one goroutine and keeps nothing but itself.
package fairshare
