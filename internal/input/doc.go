// Package input reads audit records from captures and logs.
//
// A [Reader] finds out by content what it is given and yields one [Record]
// after the other:
//
//   - captures (.nlcap): repeated { u64 CLOCK_MONOTONIC in ns, u32 nl_pid of the
//     sender, u32 length, the datagram with its nlmsghdr }, little-endian but for
//     the datagram, which is as the captured host's kernel sent it;
//   - audit.log, raw and enriched, with or without node=, and what ausearch
//     prints of it (type=1420, type=UNKNOWN[1420], type=IPE_ACCESS);
//   - what auditd hands to syslog, under the tags audisp-syslog and audispd;
//   - the kernel log: dmesg in its formats, also --json and coloured, /dev/kmsg,
//     and syslog files;
//   - the journal: journalctl in its short formats, cat, export, json,
//     json-pretty, json-seq and json-sse;
//   - lines as in mails about IPE: AUDIT1420 IPE ctx_pid=...;
//   - events in JSON as this module writes them, one on a line, spread over
//     several, in a list, or as a container's or the daemon's output in a log;
//     they are handed on unread;
//   - any of these compressed by gzip, xz, zstd or bzip2, in any number of members
//     and up to four times over;
//   - any of these in UTF-8, with or without a byte order mark, or in UTF-16.
//
// Every line is judged by itself, so text forms may be mixed. NUL bytes end a
// line, any number of them, so a hole in a file costs no record.
//
// The package does not know what a record means: it yields records of every
// type that a form gives by number, and of the named types that can be IPE's.
//
// # What is not read is told
//
// What is no audit record is passed over and counted, in text by line, in the
// journal by entry. A line that gave no event counts as unread if it has an audit
// stamp or the tag AUDIT14xx, and behind it words that only records of IPE have:
// ipe_op=, IPE ctx_ or lsm=ipe. So does such text within JSON of others. A record
// of another type may say what it likes. The caller tells the Reader which records
// gave no event, see [Reader.Reject].
//
// An input of which not everything was read ends with an [*UnreadError]: because
// of such lines, of damage, of a form that is known but not read, or because
// there was something, but no audit record of any type and no event.
//
// # Who wrote a line
//
// A capture names the sender of each datagram, and the journal's export and
// json forms say by which way an entry came (_TRANSPORT, which clients cannot
// set), so there what a process forged is told apart: marked in the one, unread in
// the other. A line of text proves nothing. The Reader only makes sure
// that nobody gets in by accident: a record must begin the line, or stand
// behind the tag kernel or audit, or that of auditd's own program; a line that is
// indented far is the rest of somebody's message of several lines, as journalctl
// prints them; and messages that a process wrote to /dev/kmsg are left out where
// the form shows it.
//
// # Limits
//
// A Reader holds a buffer of 64 KiB, another one for each compression, and, when
// it meets them, one line, object or datagram and the fields of one journal entry,
// of at most 1 MiB each. Longer lines are unread. xz and zstd may ask for a window
// of 128 MiB. Data that grows to more than 1 GiB and more than 1,100 times the size
// of the input is not read on. [Record.Text] views the buffers and lives until the
// next call of [Reader.Next].
//
// # Libraries
//
// gzip and bzip2 are those of Go. github.com/klauspost/compress/zstd is the only
// complete decoder of zstd in Go, is maintained and fuzzed, and bounds its window.
// github.com/therootcompany/xz is a port of XZ Embedded: the format is frozen, and it
// bounds its dictionary and knows all filters, where github.com/ulikunitz/xz
// allocates what a header of 12 bytes asks for, up to 4 GiB, and knows none.
package input
