// Package accesscount counts the accesses of one run of the daemon, by verdict and
// operation, for its metrics and heartbeats.
//
// A Counter is a reader of the spool like a sink. So each access counts once,
// whatever sinks there are and however often they deliver; it counts by what the
// same decoder says that they use; and the receiver, which must not wait, does
// nothing for it. The price is one more decoding of each record, in its own
// goroutine and with its share of the processors, and that a number is some
// milliseconds old.
//
// # What it refuses to do
//
// It has one number for each operation that Linux 6.12 to 7.3 can judge, and one
// for all others: a label of a metric must not grow with what records say. It does
// not guess what it could not read: what was overwritten before it came is in
// [Counts.Missed].
package accesscount
