// Package doctor looks at a host, and says what keeps ipe-auditd from hearing,
// keeping or delivering every event of IPE there, and what to do about it.
//
// [Examine] collects facts once and gives them to the checks, which do not
// change after that: each is a function from facts to findings. What could not
// be found out is no finding that all is well but a warning, which says what the
// check needs. A check that has nothing to look at, such as the policy of a
// kernel without IPE, has no finding.
//
// Where a daemon runs, what it says of itself goes before what could be guessed
// from outside: its receive buffer, its spool, its sinks.
//
// It refuses to change anything and to deliver anything. Sinks are tried as far
// as that goes without an event: a connection, a handshake, a folder that may be
// written to by the user of the service. For a moment it is itself a listener
// of the audit group, where it may be.
//
// Names of processes, errors and what a daemon says are others' words: whoever
// prints a finding to a terminal has to take control characters out of it.
package doctor
