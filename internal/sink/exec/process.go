package exec

import (
	"errors"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// path is the PATH of the command: that of a login, whatever the daemon's is.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lingering is how long a process that left the group may keep the standard
// streams open after the command has ended.
const lingering = 100 * time.Millisecond

// A process is one run of the command. It leads a session and a process group.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended and is reaped
	err  error         // why it did not end well; valid after done

	mu     sync.Mutex
	reaped bool // its id may be another one's by now
}

// start runs the command with the variables env beside PATH.
func (s *Sink) start(stdin io.Reader, env []string) (*process, error) {
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Env = append([]string{path}, env...)
	cmd.Dir = "/"
	cmd.Stdin = stdin
	cmd.Stderr = s.stderr
	cmd.WaitDelay = lingering
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}

	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig is sent when the thread ends that started the process
		// (prctl(2), PR_SET_PDEATHSIG), so it must live until the process has
		// ended. It is not used for other goroutines afterwards, because of:
		runtime.LockOSThread()
		unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)

		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		p.wait(cmd)
		s.stderr.end()
		s.stats.exit(cmd.ProcessState)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// wait returns when the command has ended, and kills what it left behind in
// its group.
func (p *process) wait(cmd *exec.Cmd) {
	// Not reaped yet, it holds its id, so the group cannot be another one's.
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	syscall.Kill(-p.pid, syscall.SIGKILL)
	p.err = cmd.Wait()
	p.reaped = true
	if errors.Is(p.err, exec.ErrWaitDelay) {
		p.err = nil // it ended well, only a process that left the group did not
	}
}

// kill ends the process group and returns when the command is reaped.
func (p *process) kill() {
	p.mu.Lock()
	if !p.reaped {
		syscall.Kill(-p.pid, syscall.SIGKILL)
	}
	p.mu.Unlock()
	<-p.done
}
