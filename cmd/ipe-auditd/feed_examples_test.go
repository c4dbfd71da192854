package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFeedExamplesWork runs what configs/examples offers, as it is.
func TestFeedExamplesWork(t *testing.T) {
	t.Parallel()
	tests := []struct {
		script string
		needs  []string
		place  string // the file with the place; empty if there is none
	}{
		{"feed-curl.sh", []string{"curl"}, "feed-curl.place"},
		{"feed-tail.sh", nil, ""},
		{"feed.py", []string{"python3"}, "feed-py.place"},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			t.Parallel()
			for _, program := range tt.needs {
				if _, err := exec.LookPath(program); err != nil {
					t.Skip("needs", program)
				}
			}
			script, err := filepath.Abs("../../configs/examples/" + tt.script)
			if err != nil {
				t.Fatal(err)
			}
			f := newFeed(t)
			f.deny(900, 903) // the past, with which a first run leaves its user alone
			dir := t.TempDir()
			missed := []string{} // while the script did not run
			for first := 1; first < 20; first += 10 {
				opened := f.server.Status().Feed.Opened
				cmd := exec.Command(script, "cat")
				cmd.Env = append(os.Environ(), "IPE_AUDITD_SOCKET="+f.path, "STATE_DIRECTORY="+dir)
				p := startProgram(t, cmd)
				f.awaitClient(opened + 1) // or what follows is the past
				p.expect(missed)
				f.deny(first, first+4)
				p.expect(numbers(first, first+4))
				f.stop()
				f.deny(first+5, first+6)
				f.start()
				p.expect(numbers(first+5, first+6))
				if tt.place == "" {
					p.kill()
					continue
				}
				awaitFile(t, filepath.Join(dir, tt.place), f.spool.Append(nil).String())
				p.kill()
				f.deny(first+7, first+9)
				missed = numbers(first+7, first+9)
			}
		})
	}
}

// awaitFile waits until a file holds text.
func awaitFile(t *testing.T, path, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := os.ReadFile(path)
		if strings.TrimSpace(string(got)) == text {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: got %q, %v, want %q", path, got, err, text)
		}
	}
}

// The scripts and the unit name files that they must agree on.
func TestFeedExamplesNameTheSocketOfTheService(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"feed-curl.sh", "feed.py"} {
		text, err := os.ReadFile("../../configs/examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), defaultSocket) {
			t.Errorf("%s does not name %s", name, defaultSocket)
		}
	}
}
