package engines

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// asServer makes this program a server of NATS, for tests that kill it: a port and a
// folder.
const asServer = "ENGINES_NATS_SERVER"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(asServer); arguments != "" {
		port, dir, _ := strings.Cut(arguments, " ")
		serve(port, dir)
		return
	}
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// serve runs a server until standard input ends, which is when the test has ended.
func serve(port, dir string) {
	n, _ := strconv.Atoi(port)
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: n, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	signal.Ignore(syscall.SIGINT)
	s.Start()
	if !s.ReadyForConnections(patience) {
		fmt.Println("not ready")
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	s.Shutdown()
}

// process is a server of NATS in a process of its own.
type process struct {
	t    testing.TB
	port int
	dir  string
	cmd  *exec.Cmd
}

// newProcess returns one that does not run yet.
func newProcess(t testing.TB) *process {
	return &process{t: t, port: freePort(t), dir: t.TempDir()}
}

// freePort returns a port that nobody has, below those that the kernel gives away: a
// client that tries a dead port there for long enough is connected to itself.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 15000 + (os.Getpid()*7+int(ports.Add(1))*131)%15000
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func (p *process) address() string { return fmt.Sprint("127.0.0.1:", p.port) }
func (p *process) url() string     { return "nats://" + p.address() }

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", asServer, p.port, p.dir))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := p.cmd.StdinPipe()
	check(p.t, err)
	out, err := p.cmd.StdoutPipe()
	check(p.t, err)
	p.cmd.Stderr = os.Stderr
	check(p.t, p.cmd.Start())
	cmd := p.cmd
	p.t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		p.t.Fatalf("the server says %q", line)
	}
}

// kill ends it without a chance to tidy up.
func (p *process) kill() {
	p.t.Helper()
	check(p.t, p.cmd.Process.Kill())
	_ = p.cmd.Wait()
}
