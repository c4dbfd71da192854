// Package trust is the key to the one switch of pkg/netlinkaudit that only
// tests and tools of this module may turn: to listen to NETLINK_USERSOCK
// instead of NETLINK_AUDIT and to believe senders other than the kernel.
//
// The audit group of a machine is shared by everything that runs on it, only
// the kernel can send believable records into it, and joining it takes a
// capability in the initial user namespace. NETLINK_USERSOCK behaves the same
// (one datagram per message, multicast, filters, overruns, drop counter) and
// exists once per network namespace, so that a test can have it for itself.
//
// The package holds a type and nothing else: it opens no socket and imports
// nothing, so pkg/netlinkaudit stays free of the rest of the module. Because
// the package is internal, no program outside the module can name the type.
// A value refers to a descriptor by number and does not own it: it must stay
// open until the socket has been opened.
package trust
