package spool

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stoppedEnv makes the test binary append to the spool in that directory, stop
// itself in the middle of a write, and print the id of the spool before and after.
const stoppedEnv = "SPOOL_TEST_STOP_IN"

const stoppedStall = 300 * time.Millisecond

func stopInWrite(dir string) {
	fs := &faultFS{}
	o := childOptions(dir)
	o.FS, o.StallTimeout = fs, stoppedStall
	s, err := Open(o)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	before := s.Append(text(1, 1))
	fs.set(func(fs *faultFS) {
		fs.write = func(string, int64, []byte) error {
			fs.heal()
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			time.Sleep(stoppedStall / 10) // the disk is not the first to go on
			return nil
		}
	})
	fmt.Println(before.ID, s.Append(text(2, 1)).ID)
	os.Exit(0)
}

// A process that was stopped for longer than a disk may take has a sound disk.
func TestAStoppedProcessDoesNotBlameTheDisk(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), stoppedEnv+"="+t.TempDir())
	var out strings.Builder
	cmd.Stdout = &out
	startAgain(t, cmd)
	defer cmd.Wait()
	defer cmd.Process.Kill()
	stopped := func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, state, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(state, "T")
	}
	for begin := time.Now(); !stopped(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatal("it did not stop")
		}
	}
	time.Sleep(2 * stoppedStall)
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if before, after, ok := strings.Cut(strings.TrimSpace(out.String()), " "); !ok || before != after {
		t.Errorf("the id was %q, then %q: the disk was blamed", before, after)
	}
}
