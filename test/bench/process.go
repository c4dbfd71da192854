package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// roleEnv says what a child process is; its value is a key of roles. Its other
// parameters are in paramEnv, as they are in a shell: NAME=value words.
const (
	roleEnv  = "IPE_AUDITD_BENCH_ROLE"
	paramEnv = "IPE_AUDITD_BENCH_PARAM"
)

// process is a child that does one thing.
type process struct {
	cmd   *exec.Cmd
	ready *bufio.Reader // lines that it says on descriptor 3
}

// start starts a child in a role, with a socket as its descriptor 4 unless that
// is nil, and waits until the child says that it is ready.
func start(role string, socket *os.File, params ...string) (*process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, paramEnv+"="+strings.Join(params, "\n"))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	if socket != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, socket)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, err
	}
	p := &process{cmd: cmd, ready: bufio.NewReader(r)}
	if _, err := p.line(); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: not ready: %w", role, err)
	}
	return p, nil
}

// line returns the next thing that the child says.
func (p *process) line() (string, error) {
	line, err := p.ready.ReadString('\n')
	return strings.TrimSpace(line), err
}

// kill ends the child where nothing is to be known of it any more.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop asks the child to end in order and returns its CPU time.
func (p *process) stop() (time.Duration, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return p.wait()
}

// wait waits for the end of the child and returns its CPU time.
func (p *process) wait() (time.Duration, error) {
	err := p.cmd.Wait()
	return cpu(p.cmd.ProcessState), err
}

func cpu(s *os.ProcessState) time.Duration { return s.UserTime() + s.SystemTime() }

// status returns a number of /proc/PID/status, such as VmRSS in KiB.
func (p *process) status(name string) (int, error) {
	return statusOf(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), name)
}

func statusOf(path, name string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// usage is what a process has used so far.
type usage struct {
	cpu     time.Duration
	wakeups int // times that one of its threads slept
}

// usage adds up the threads of the child. CPU time is that of
// /proc/PID/task/TID/schedstat, in nanoseconds (kernel/sched/stats.c).
func (p *process) usage() (usage, error) {
	var u usage
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return u, err
		}
		u.cpu += time.Duration(ns)
		if n, err := statusOf(filepath.Join(task, "status"), "voluntary_ctxt_switches"); err == nil {
			u.wakeups += n
		}
	}
	return u, nil
}

// param returns a parameter of this child.
func param(name string) string {
	for _, word := range strings.Split(os.Getenv(paramEnv), "\n") {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}

func number(name string) int {
	n, _ := strconv.Atoi(param(name))
	return n
}

// say tells the parent something.
func say(format string, args ...any) {
	_, _ = syscall.Write(3, fmt.Appendf(nil, format+"\n", args...))
}

// socket is what the parent passed.
func socket() *os.File { return os.NewFile(4, "audit") }
