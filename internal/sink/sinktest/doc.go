// Package sinktest checks that a sink keeps the rules of [sink.Sink].
//
// A sink's own test describes where it delivers to, and calls [Run]:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, func(t testing.TB) *sinktest.Place { return newPlace(t) })
//	}
//
// The suite behaves as the runner does: one goroutine calls the sink, after
// each failure it closes, opens and writes again whatever was not flushed. What
// it lends, it destroys: after every Write the entry's bytes and the event are
// overwritten. It takes a call that does not return within ten seconds for one
// that never will, and counts goroutines and descriptors before and after.
//
// The suite does not check what only one kind of sink knows: framing, modes,
// certificates. It says nothing about speed.
package sinktest
