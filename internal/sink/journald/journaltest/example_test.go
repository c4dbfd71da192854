package journaltest_test

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald/journaltest"
)

// A test runs a journald, lets something write to it, and reads it back.
func Example() {
	_ = func(t *testing.T) {
		j := journaltest.Start(t, journaltest.WithCatalog("deploy/systemd/ipe-auditd.catalog"))
		deliver(t, j.Socket())
		for _, e := range j.Entries(t, "SYSLOG_IDENTIFIER=ipe-auditd") {
			t.Log(e.Get("MESSAGE"), e["IPE_RULE_PROPERTIES"])
		}
	}
}

func deliver(testing.TB, string) {}
