package losses

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStateSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if s, err := LoadState(dir); err != nil || s != (State{}) {
		t.Fatalf("LoadState of an empty directory = %+v, %v", s, err)
	}
	want := State{BootID: "b", Cookie: 1 << 60, Drops: 5, Kernel: Reported{Lost: 7, Known: true, Estimated: 3, Line: 9}, At: time.Unix(1, 0).UTC()}
	for range 2 {
		if err := want.Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := LoadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestDamagedStateIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(`{"boot_id":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadState(dir); err == nil || s != (State{}) {
		t.Errorf("LoadState = %+v, %v; want the zero State and an error", s, err)
	}
}
