// Package daemon wires the pipeline: a source of records, the spool, and a
// runner for each sink.
//
//	kernel ─▶ receiver ─▶ spool ═▶ runner ─▶ sink
//	  file ─▶ feeder   ─┘        ═▶ runner ─▶ sink
//
// The receiver is one goroutine and does nothing but take batches from the
// socket, throw away what is not IPE's, and append the rest to the spool.
// Whatever could make it wait happens elsewhere: runners deliver, the loss
// reporter emits losses, the drop poller asks the socket what it dropped.
package daemon
