// Package otlp is the sink that sends log records to a collector of OpenTelemetry,
// or to a store that speaks its protocol: OTLP/HTTP with protobuf
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp).
//
// An entry's bytes are a request of one record, as format.OTLP makes it. The sink
// puts those of a batch together, one ResourceLogs for each host, and posts them.
//
// # What delivered means
//
// The receiver has answered 2xx, and has not said that it rejected records. What
// that is worth is the receiver's affair: some answer before anything is on a disk.
//
//	2xx                 delivered; rejected_log_records above 0 is counted and told,
//	                    and not sent again: which records they were is not said
//	408, 429, 5xx, the network   all of it is sent again; not before Retry-After
//	401, 403, 404, 407  likewise: that is about the key, or the address, not the events
//	413                 in halves; one record that is too large by itself is given up
//	other 4xx           in halves, down to the record that the receiver will not have,
//	                    which is given up; everything else is delivered
//
// A record is given up only when the receiver takes others: another one of the same
// flush, or a request without any. If it takes nothing, it is not the record that is
// wrong.
//
// There is no queue: the spool is one. There is no de-duplication either: what was
// not answered is sent again, and log.record.uid tells.
//
// # Memory
//
// The sink keeps the records of a batch, and the request made of them. Write does not
// allocate once they are large enough; a request costs what net/http takes.
package otlp
