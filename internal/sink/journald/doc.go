// Package journald delivers entries to systemd-journald by its native
// protocol: one datagram per entry on a unix socket.
//
// The entry's bytes are the finished datagram, as made by the journal format;
// this package only moves them. An entry larger than a datagram may be goes as
// a sealed memfd whose descriptor is passed with SCM_RIGHTS
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
//
// Delivered means accepted into journald's socket. journald acknowledges
// nothing, so what its rate limit drops, or what is queued when it is killed
// while nobody else holds its socket, is beyond this package. On a host booted
// with systemd the service manager holds the socket, and the queue survives a
// restart of journald.
//
// journald may hear the audit records itself (systemd-journald-audit.socket,
// Audit= in journald.conf(5)) and then has each of them twice: once raw, with
// _TRANSPORT=audit, and once from here. That is the administrator's to choose.
//
// When the queue is full, Write waits: until journald reads, the context ends or
// Close is called. When the socket is gone, Write fails, and the next Open
// connects to its successor. Entries are sent one by one: with the kernel's
// queue of 10 datagrams (net.unix.max_dgram_qlen) sendmmsg costs more than it
// saves, and with systemd's 512 it saves a third of a microsecond of an entry
// that costs journald tens of them.
//
// Nothing is kept of an entry after Write returned, and a Write that need not
// wait allocates nothing.
package journald
