package host

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHostnameIsThatOfTheKernel(t *testing.T) {
	want, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	var h Hostname
	if got := string(h.Bytes()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := testing.AllocsPerRun(100, func() { h.Bytes() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestHostnameIsAskedAnew changes it in a namespace of a thread that ends with
// the test.
func TestHostnameIsAskedAnew(t *testing.T) {
	t.Parallel()
	var h Hostname
	before := string(h.Bytes())
	done := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWUTS); err != nil {
			done <- "skip: " + err.Error()
			return
		}
		if err := unix.Sethostname([]byte("renamed")); err != nil {
			done <- "skip: " + err.Error()
			return
		}
		done <- string(h.Bytes())
	}()
	got := <-done
	if why, skip := strings.CutPrefix(got, "skip: "); skip {
		t.Skipf("needs a UTS namespace: %s", why)
	}
	if got != "renamed" {
		t.Errorf("got %q", got)
	}
	if now := string(h.Bytes()); now != before {
		t.Errorf("outside the namespace: %q, was %q", now, before)
	}
}
