// Package nats is the sink that publishes events to a stream of NATS JetStream.
//
// An entry's bytes are the subject, the id and the payload, as Form puts them
// together: a message for each event.
//
// # What delivered means
//
// The stream has acknowledged the message. What that is worth is the stream's affair:
// a server acknowledges before it has synced to its disk, unless it was told to
// (sync_interval: always), so that a power cut of the only server that has it can
// cost it. Three replicas are the usual remedy.
//
// Messages of a batch are published one behind the other, and then their
// acknowledgements are waited for, all of that within one time limit: when the leader
// of a stream dies, there may be no answer at all. After any failure the connection is
// made anew and the whole batch is published again. Each message has an id, so the
// stream keeps one of it, as long as its duplicate window is longer than the outage:
// an answer "duplicate" is a success.
//
// But where this process did not send a message before, and what it tells of happened
// while it ran, "duplicate" says that somebody else has sent another one by that name: a
// virtual machine that was resumed twice. That is told.
//
// A message that is larger than the server or the stream takes is shortened: see
// shorten. If that does not suffice it is given up, and told.
//
// At Open the stream is looked at: whether it is there (or made, with Create),
// takes our subjects, acknowledges, and for how long it knows duplicates.
package nats
