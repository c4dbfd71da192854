package input

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyAPlainFileDoesNotPause(t *testing.T) {
	t.Parallel()
	plain, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if Live(plain) {
		t.Error("a plain file pauses")
	}
	if !Live(r) || !Live(strings.NewReader("")) {
		t.Error("a pipe, or what is no file, does not pause")
	}
}
