// Package host reads the facts about this host that the daemon states when it
// starts: kernel release, boot id, host name, and how IPE stands.
//
// It only reads, never caches, and does not need a capability: what may not be
// read is said to be unreadable.
package host
