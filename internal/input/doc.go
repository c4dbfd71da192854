// Package input reads audit records from captures and logs.
//
// A [Reader] finds out by content what it is given and yields one [Record]
// after the other:
//
//   - captures (.nlcap): repeated { u64 CLOCK_MONOTONIC in ns, u32 nl_pid of the
//     sender, u32 length, the datagram with its nlmsghdr }, all little-endian;
//   - audit.log, raw and enriched, with or without node=, and what ausearch
//     prints of it (type=1420, type=UNKNOWN[1420], type=IPE_ACCESS);
//   - the kernel log: dmesg in its formats, /dev/kmsg, and syslog files;
//   - the journal: journalctl in its short formats, cat, export, json, json-seq
//     and json-sse;
//   - lines as in mails about IPE: AUDIT1420 IPE ctx_pid=...;
//   - events in JSON as this module writes them, which are handed on unread;
//   - any of these compressed by gzip.
//
// Every line is judged by itself, so text forms may be mixed. What is no audit
// record is passed over and counted, in text by line and in the journal by
// entry, and never guessed at.
//
// The package does not know what a record means: it yields records of every
// type that a form gives by number, and of the named types that can be IPE's.
//
// # Who wrote a line
//
// A capture names the sender of each datagram, and the journal's export and
// json forms say by which way an entry came (_TRANSPORT, which clients cannot
// set), so there what a process forged is told apart: marked in the one, passed
// over in the other. A line of text proves nothing. The Reader only makes sure
// that nobody gets in by accident: a record must begin the line, or stand
// behind the tag kernel or audit; a line that is indented far is the rest of
// somebody's message of several lines, as journalctl prints them; and messages
// that a process wrote to /dev/kmsg are left out where the form shows it.
//
// # Memory
//
// A Reader holds a buffer of 64 KiB and, when it meets them, one line or
// datagram and the fields of one journal entry, of at most 1 MiB each. Longer
// lines are passed over. [Record.Text] views these buffers and lives until the
// next call of [Reader.Next].
package input
