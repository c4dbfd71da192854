// Package netlinkaudit receives records from the kernel's audit multicast
// group (NETLINK_AUDIT, AUDIT_NLGRP_READLOG; Linux 3.16) for those who listen
// beside auditd.
//
// [Listen] opens a socket of its own and needs CAP_AUDIT_READ in the initial
// user namespace. [FileConn] adopts one that somebody else opened and joined,
// such as systemd with ListenNetlink=audit 1: it needs no capability, and what
// arrived while nobody was reading is still there. [Conn.Receive] then returns
// records in batches.
//
// # What it promises
//
//   - Only the kernel is believed. Every process with CAP_NET_ADMIN over the
//     initial network namespace can multicast into the group or write to the
//     listener directly; its messages carry its port id in the sender's
//     address (the field nlmsg_pid is the sender's to choose). They are
//     refused and counted.
//   - What the kernel dropped at the socket is known exactly: [Conn.Drops].
//   - No overrun wedges it. After an overrun the kernel may discard everything
//     until a receive call finds the queue empty (netlink_overrun and
//     netlink_rcv_wake, net/netlink/af_netlink.c), and a blocking recvmmsg can
//     go to sleep just before that (do_recvmmsg, net/socket.c, takes the error
//     without looking at the queue). So NETLINK_NO_ENOBUFS is set, and the
//     queue is always read to EAGAIN before waiting.
//   - Types that are not wanted are refused in the kernel, and neither wake
//     the process nor take room in the receive buffer.
//   - Receiving does not allocate.
//   - A socket that would hear nothing for ever, because it is in another
//     network namespace than the initial one, is an error where that can be
//     seen; see [Conn.NamespaceVerified].
//
// # What it refuses to do
//
// It does not parse the text of records, does not reassemble audit events,
// never sends anything, and neither reads nor changes the kernel's audit
// state. Losses before the socket (the backlog limit) are not its business:
// the group does not show them. It runs on Linux only.
//
// # Memory
//
// A Conn allocates its receive buffers once: 16 KiB for each message of a
// batch. The messages that Receive returns view these buffers, and so live
// until the next call of Receive on the same Conn; copy what is to be kept.
package netlinkaudit
