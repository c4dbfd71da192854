// Package journaltest runs a real systemd-journald for tests.
//
// It gives the daemon a mount namespace in which /run, /var/log, the machine id
// and the catalog are the test's own, and a network namespace in which no audit
// records are heard. The host's journal, its audit settings and its kernel log
// are not touched. What journald keeps is read back with journalctl.
//
// journald's native socket is held by the test and handed over, as systemd does
// it: entries that are queued survive a restart. [Standalone] leaves the socket
// to journald, which then takes it away with itself.
//
// It needs root, a machine id and the programs of the package systemd; where
// one of them is lacking [Start] skips the test and says which.
package journaltest
