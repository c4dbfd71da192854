package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestStatusSaysWhatIsInForceAndWhatBecameOfAccesses asks a daemon without any sink.
func TestStatusSaysWhatIsInForceAndWhatBecameOfAccesses(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	o := options(dir)
	o.Config.API.Path = filepath.Join(dir, "api.sock")
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), sysfs(t, "boot")
	mode := filepath.Join(o.Sysfs, "kernel/security/ipe/enforce")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(mode, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("0")
	d := start(t, o)
	status := func() *api.Status {
		t.Helper()
		_, st, err := api.NewClient(o.Config.API.Path).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	inForce := func(want api.InForce) {
		t.Helper()
		if diff := cmp.Diff(want, status().InForce, cmpopts.IgnoreFields(api.InForce{}, "Digest")); diff != "" {
			t.Errorf("in force (-want +got):\n%s", diff)
		}
	}
	inForce(api.InForce{Policy: "built_in", Name: "boot", Version: "1.0.0", Enforcing: new(false)})
	write("1") // heard of by whoever looks
	inForce(api.InForce{Policy: "built_in", Name: "boot", Version: "1.0.0", Enforcing: new(true)})

	at := time.Now().Add(-time.Second)
	send(t, group, ipe.TypeConfigChange, activationAt(at, 1, "next"))
	send(t, group, ipe.TypeAccess, denialAt(at, 2), denialAt(at, 3))
	var st *api.Status
	eventually(t, "both denials are counted", func() bool {
		st = status()
		return st.Accesses["denied"]["EXECUTE"] == 2
	})
	if diff := cmp.Diff(map[string]map[string]uint64{"denied": {"EXECUTE": 2}, "would_deny": {}, "allowed": {}, "unknown": {}}, st.Accesses); diff != "" {
		t.Errorf("accesses (-want +got):\n%s", diff)
	}
	if got := st.LastDenial; got.UnixMilli() != at.UnixMilli() {
		t.Errorf("the last denial was at %v, want %v", got, at)
	}
	if st.InForce.Name != "next" || st.InForce.Policy != "active" {
		t.Errorf("in force is %+v", st.InForce)
	}
	d.end()
}
