// Package format encodes events for the places they go to: JSON, a line of
// text for a person, the record as auditd writes it, an entry of the journal,
// the two forms of syslog, and environment variables.
//
// An encoder is a [Func]: it appends one event to a slice. Encoding cannot
// fail: whatever an event holds, the output is well formed, one event is one
// line where the format has lines, and bytes that an attacker chose (paths,
// names of processes) cannot end a line, forge a field or reach a terminal raw.
// What a format cannot show as it is, it shows in a way that the bytes of the
// kernel can be got back from; where that is impossible (text, environment
// variables) the function says so.
//
// The keys, their order, types and places in an event stand in one table, keys.go.
// [Parser], which reads events in JSON, goes by it; the code of the encoders is
// generated from it (package keygen), and held to it by a slow form in the tests.
//
// The package does not decode records, filter, frame or deliver, and knows no sink.
//
// # Memory
//
// A Func keeps neither the event nor the context, and writes only behind
// len(dst), where up to cap(dst) it may also leave scratch of its own. It does
// not allocate when dst has room for twice the result. Funcs may be called from
// any goroutine, also at once.
package format
