// Package engines tests the sinks that deliver to engines, and the queries that read
// them, against the engines themselves: a NATS server with JetStream, alone and as
// three, and VictoriaLogs.
//
//	go test .
//
// It is a module of its own, so that the daemon's has no server in it. NATS runs
// within the tests, or where it is to be killed as a process of its own. VictoriaLogs is built once
// and kept in the user's cache; where that cannot be done its tests are skipped.
package engines
