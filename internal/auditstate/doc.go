// Package auditstate carries what the kernel's audit subsystem says of itself
// from a helper that may ask it (CAP_AUDIT_CONTROL) to a daemon that may not:
// how many records were lost before any socket, the limits, and how many rules
// concern the records of IPE.
//
// The helper ("ipe-auditd lost", ipe-auditd-lost.service) is started by a service
// manager when somebody connects to its socket. It reads nothing from its peer, so
// there is nothing that a subverted daemon could make it do: it writes one line of
// JSON, [State], closes the connection, and ends when nobody has connected for a
// while. How often it answers is its own choice, not its peer's.
//
// The client believes a socket of root or of its own user only, reads a bounded
// answer within the time of its context, and refuses an answer of another
// version.
package auditstate
