// Package syslog is the sink that sends syslog messages: to the local /dev/log,
// or over UDP, TCP or TLS.
//
// An entry's bytes are the finished message, as format.Syslog makes it. The
// sink adds what the transport needs around it, and nothing else:
//
//	unix, udp   one datagram per message (RFC 5426 section 3.1)
//	tcp, tls    octet counting: length, blank, message (RFC 6587 section 3.4.1,
//	            RFC 5425 section 4.3), so that a message may hold any byte; or a
//	            newline behind it (RFC 6587 section 3.4.2), and no control byte in it
//
// # What delivered means
//
// Syslog has no acknowledgement, so the best that can be known differs:
//
// unix: the message is in the receiver's queue. What is in there when the
// receiver ends is lost. When the queue is full, Write waits.
//
// udp: the local kernel took it. It may be lost anywhere, or dropped by a
// receiver that is too slow, without anybody knowing. Only if the peer's host
// says that nobody listens (ICMP, and only what has arrived by the time of
// Flush) the batch fails and is sent again.
//
// tcp, tls: the peer's kernel has acknowledged every byte (SIOCOUTQ of tcp(7) is
// 0) on a connection that neither side has ended and that has lasted for a
// second. The second is for receivers that take a connection only to turn it
// down: by the name in our certificate (TLS 1.3 tells a client that its
// certificate is refused only after the handshake), by our address, or as a
// proxy without a server behind it. Each attempt would lose a batch.
//
// Bytes that the peer's kernel acknowledged are not yet read by the receiver. If
// it is killed, they are gone. So the last 4 to 8 MiB of the last 30 seconds before
// the end of a connection are kept in memory, and when the peer ended it, they are
// sent again on the next one before anything new, at once: see sink.Resender. So a
// receiver that is restarted gets the last events twice; their spool and seq tell.
// What a receiver had in its queues for longer is lost with it, and what we kept is
// lost if we end before the connection is back.
//
// A receiver that will not have a message ends the connection, and would do so for
// ever. How such a message is found without taking a restart for one is described
// at bisection.
//
// The order is that of the spool within one connection. What an earlier
// connection holds, a receiver may read at the same time as the next one.
//
// A peer that is gone is noticed by its FIN or RST at once, also between
// events, by keepalive and TCP_USER_TIMEOUT otherwise: within two minutes. A
// peer that takes nothing for so long is treated the same.
//
// # Long messages
//
// A message that is longer than Config.MaxMessage, or than a datagram socket
// takes (65,507 bytes over UDP; on a unix socket the size of the send buffer,
// 212,960 by default; half of that and so on where the path takes less), is
// shortened: see shorten. It stays a valid message of the same event.
//
// Receivers have limits of their own, and what they do behind them differs: rsyslog
// makes a message of what it cuts off (8096 octets, unless maxMessageSize says
// more), syslog-ng ends the connection (log-msg-size). Nothing of that can be asked
// for. So MaxMessage has to be no more than the receiver takes; and format.Syslog
// sees to it that no part of a record can begin a message wherever one is cut.
//
// # TLS
//
// TLS 1.2 or later, with the server's name verified. The files are read again
// at every Open, so that a renewed certificate needs no restart; the system's
// authorities, used when no file is named, are read once by crypto/x509.
//
// # Memory
//
// Nothing of an entry is kept after Write but a copy of its bytes. Write
// allocates nothing unless it must wait or cut; Flush does a little per batch.
// A sink on a stream has one goroutine while it is open, which reads.
//
// The package refuses to format, to speak UDP without saying what it is worth,
// to send to a stream socket at /dev/log, and to skip the
// verification of certificates.
package syslog
