// Package audittest sends what a listener of the audit multicast group can
// meet with, for tests and load generators of this module.
//
// Three ways, and what they are good for:
//
//   - [StandIn] is group 1 of NETLINK_USERSOCK in a network namespace that the
//     test has for itself. Whatever is sent there is believed by a listener
//     that was given [Protocol] and [Group.NetNS]: records of every type and form, floods
//     with an exact count.
//   - [Forger] sends to the real audit group as a process with CAP_NET_ADMIN
//     can: a listener must refuse it. The group is shared by the whole machine,
//     so a test must be able to tell its own messages by their type or text.
//   - [Relay] makes the kernel itself speak on the real group: a record
//     of type AUDIT_USER_AVC (1107), with a text of ours inside.
//
// Everything that needs a right which is lacking returns an error that is
// [os.ErrPermission]; only StandIn, which takes a [testing.TB], skips. A payload
// is copied into a buffer of the Sender and belongs to the caller again at
// once. A Sender is for one goroutine.
package audittest
