package trust

// Senders says whose messages pkg/netlinkaudit takes. The zero value is the
// only one that can be written outside this module: the kernel alone, on
// NETLINK_AUDIT.
type Senders struct {
	standIn bool
	netns   int
}

// StandIn returns the value that makes pkg/netlinkaudit listen to group 1 of
// NETLINK_USERSOCK in the network namespace that the descriptor netns refers
// to, and take messages from every sender. A netns of 0 is the namespace of
// the calling thread.
func StandIn(netns int) Senders { return Senders{standIn: true, netns: netns} }

// StandIn reports whether s was made by [StandIn], and for which network
// namespace.
func (s Senders) StandIn() (netns int, ok bool) { return s.netns, s.standIn }
