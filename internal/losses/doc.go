// Package losses keeps the accounts of what was lost between the kernel and
// the spool: records dropped at our socket, records that the kernel lost
// before any socket, truncated records, forgeries.
//
// Every loss appears three times: as an event in the stream, as a counter, and
// as a line in the daemon's log. Events and lines of one account come at most
// once a second and carry the sum of what happened since the last one, so a
// loss that goes on does not drown what was not lost.
//
// What was lost in the spool itself, because a reader was too slow, is told to
// that reader by its runner and is not kept here.
//
// The reporter does not touch the socket, and whoever reports to it never waits:
// Add only counts. Its own goroutine writes the events, the log and the state
// file that lets a later process tell only the difference.
package losses
