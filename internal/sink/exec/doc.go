// Package exec delivers entries to a command: to one that runs all the time and
// reads a line per event, or to one that is run for each event.
//
// The command is a fixed argument vector; no shell reads it. It runs in the root
// folder, in a session of its own, with an environment that holds PATH and what
// is said below, without the daemon's ambient capabilities and without any of its
// descriptors. Its standard output is discarded. Its standard error goes, line by
// line, escaped and limited, to the daemon's log. When it ends, what is left of its
// process group is killed; when the daemon dies, it is killed too.
//
// # Stream
//
// One process gets the bytes of every entry on its standard input. Delivered
// means that it has read them: the pipe is empty. If it exits, whatever its exit
// status, that is a failure, and the next Open starts another one. A process that
// does not read blocks this sink and nothing else, unless [Config.Timeout] ends
// it. On Close it sees the end of its input and has two seconds to finish.
//
// # Each
//
// An entry is the event's line for the standard input and, after its newline,
// the event's variables: NAME=value each, ended by NUL. Besides them the command
// gets IPE_COALESCED (below). There is one run at a time. Delivered means exit
// status 0 in time; any other end is a failure, so the runner tries again, with
// its backoff, for as long as it takes. Runs that succeeded before a failure are
// not repeated.
//
// There are never more than [Config.MaxPerMinute] runs in any minute. The events
// beyond that are coalesced: when the minute allows it, the command is run for
// the last of them, and IPE_COALESCED says how many others before it had no run
// of their own. In every other run it is 0. Flush waits for that run, so the count
// reaches the command even if the daemon is restarted in between.
//
// # Feeding itself
//
// A command that no IPE policy covers causes events itself, which in permissive
// mode would start it again. So in mode Each an event whose PID is that of one of
// the last thousand runs, and whose stamp falls into that run, is counted
// (own_events) and not delivered; so is the denial of our own attempt to start
// the command. The pids of the processes that the command starts cannot be known
// here: most of them have ended when their events arrive, and to guess would
// mean to hide events of others. A helper program that no policy covers belongs
// into the sink's match, as not: {paths: ...}; until then the limit per minute
// bounds the loop. In mode Stream every event is delivered, also the command's
// own: nothing bounds a loop that a script with such helpers makes there.
//
// # Memory
//
// Of an entry nothing is kept after Write returned, but a copy of the last
// coalesced one until it has had its run, and 8 bytes of hash of each one until
// the next Flush.
package exec
