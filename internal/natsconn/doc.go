// Package natsconn connects to servers of NATS that have JetStream.
//
// A connection is one: it does not come back by itself when it ends, so that whoever
// uses it knows, and begins anew. Closing it, or the end of the context while it is
// made, ends whatever it does at once, also a write to a server that takes nothing.
//
// A [Reader] reads a stream from one end to the other. What its messages say the
// package does not know.
package natsconn
