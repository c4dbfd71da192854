package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// TestWhatASinkGotCanBeVerified seals over a restart, and alters the file then.
func TestWhatASinkGotCanBeVerified(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "seal.key")
	public, err := seal.Generate(key, "web1")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := seal.ParseVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	o := options(dir, "all")
	o.Config.Seal = config.Seal{Key: key, Every: 5, Interval: time.Hour}
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), sysfs(t, "boot")
	path := filepath.Join(dir, "all.json")
	for n := range 2 {
		r := start(t, o)
		for i := range 7 {
			send(t, group, ipe.TypeAccess, denial(10*n+i))
		}
		eventually(t, "the denials are in the file", func() bool { return len(of(events(t, path), ipe.KindAccess)) == 7*(n+1) })
		r.end()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(text []byte) *seal.Report {
		v := seal.NewVerifier([]note.Verifier{verifier})
		if err := v.Lines(path, bytes.NewReader(text), false); err != nil {
			t.Fatal(err)
		}
		return v.Report()
	}
	r := verify(text)
	if r.ExitCode() != 0 || len(r.Spools) != 1 || r.Spools[0].Size < 16 || r.Spools[0].Behind != 1 {
		t.Errorf("exit %d: %s\n%s", r.ExitCode(), r.AppendText(nil), text)
	}
	if r := verify(bytes.Replace(text, []byte(`"verdict":"denied"`), []byte(`"verdict":"would_deny"`), 1)); r.ExitCode() != 1 {
		t.Errorf("altered: exit %d: %s", r.ExitCode(), r.AppendText(nil))
	}
}

func TestAKeyThatCannotBeUsedEndsTheStart(t *testing.T) {
	t.Parallel()
	group := audittest.StandIn(t)
	o := options(t.TempDir(), "all")
	o.Config.Seal.Key = filepath.Join(t.TempDir(), "none")
	o.Protocol, o.NetNS, o.Sysfs = audittest.Protocol, group.NetNS(), sysfs(t, "boot")
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "seal.key") {
		t.Errorf("got %v", err)
	}
}
