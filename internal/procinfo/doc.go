// Package procinfo finds out from /proc where a process runs and whose it is, at
// the moment at which a record about it is received.
//
// A record names a process by its number, which another one may have by now. What
// is found counts only if the process began before the record was made
// (/proc/PID/stat), and everything is read through one open /proc/PID, which stays
// that of one process. Where it has gone, its parent may tell the control group, if
// a companion record has named it and it began before the record, too.
//
// It needs no capability: what /proc hides from others is left out. A control group
// below one that was delegated has the name that its owner gave it.
//
// [Asker] does this in a goroutine of its own, for as many processes as it can, the
// newest first. What it finds becomes an attachment of the event, a text in the
// grammar of audit records, with the stamp of the record; [Join] reads it. That has
// the control group as it was read, so that a later release may read more out of
// it: see [PlaceOf].
//
// # Why not prometheus/procfs
//
// It reads /proc/PID by name anew for every file, so that a process that ends in
// between is taken for the one that gets its number, and allocates some 40 times
// for what is needed here.
package procinfo
