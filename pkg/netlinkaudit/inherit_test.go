package netlinkaudit

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const childEnv = "NETLINKAUDIT_TEST_CHILD"

// childConfig is what a child is told, childReport what it says.
type childConfig struct {
	Types      []uint16
	ReadBuffer int
	Token      string
	Want       int // messages with Token to receive
}

type childReport struct {
	UID        int
	CapEff     string
	Err        string
	Sentinels  []string // that errors.Is finds in the error
	Texts      []string
	Stats      Stats
	ReadBuffer int
	Cookie     uint64
	Drops      uint64
	Verified   bool
}

var sentinels = map[string]error{
	"ErrPermission": ErrPermission, "ErrUnavailable": ErrUnavailable, "ErrForeignNamespace": ErrForeignNamespace,
	"ErrNotAudit": ErrNotAudit, "ErrNotJoined": ErrNotJoined, "EPERM": unix.EPERM,
}

// runChild is what the test binary does instead of tests in a process that has
// other rights: "listen", or "adopt" descriptor 3.
func runChild(name string) {
	var cfg childConfig
	if err := json.NewDecoder(os.Stdin).Decode(&cfg); err != nil {
		panic(err)
	}
	r := childReport{UID: os.Getuid(), CapEff: effectiveCapabilities()}
	c, err := (*Conn)(nil), error(nil)
	switch conf := (&Config{Types: cfg.Types, ReadBuffer: cfg.ReadBuffer}); name {
	case "listen":
		c, err = Listen(conf)
	case "adopt":
		c, err = FileConn(os.NewFile(3, "inherited"), conf)
	}
	if err == nil {
		err = r.receive(c, &cfg)
	}
	if err != nil {
		r.Err = err.Error()
	}
	for name, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			r.Sentinels = append(r.Sentinels, name)
		}
	}
	slices.Sort(r.Sentinels)
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func (r *childReport) receive(c *Conn, cfg *childConfig) error {
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(patience / 2)); err != nil {
		return err
	}
	for len(r.Texts) < cfg.Want {
		msgs, err := c.Receive()
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if text := string(m.Data); strings.Contains(text, cfg.Token) {
				r.Texts = append(r.Texts, text)
			}
		}
	}
	var err error
	r.Stats, r.Cookie, r.Verified = c.Stats(), c.Cookie(), c.NamespaceVerified()
	r.ReadBuffer = c.ReadBuffer()
	r.Drops, err = c.Drops()
	return err
}

func effectiveCapabilities() string {
	b, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(b), "CapEff:\t")
	caps, _, _ := strings.Cut(after, "\n")
	return caps
}

// child runs this test binary as another process. It skips the test if the
// process cannot be made.
func child(t *testing.T, name string, cfg childConfig, inherited *os.File, attr *syscall.SysProcAttr) childReport {
	t.Helper()
	in, err := json.Marshal(cfg)
	must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = "/" // the test's own may be closed to others
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stdin = strings.NewReader(string(in))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = attr
	if inherited != nil {
		cmd.ExtraFiles = []*os.File{inherited}
	}
	out, err := cmd.Output()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("needs the right to give a process other rights: %v", err)
	}
	must(t, err)
	var r childReport
	must(t, json.Unmarshal(out, &r))
	return r
}

// powerless is how to run a child without capabilities.
func powerless() *syscall.SysProcAttr {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{} // it is so already
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// newToken returns a text that tells our messages from those of others on the
// real audit group.
func newToken() string { return fmt.Sprintf("token-%d-%d-", os.Getpid(), time.Now().UnixNano()) }

// inheritable returns a socket in the audit group as systemd would make it: with
// a large buffer, without a filter or other options.
func inheritable(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_AUDIT)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skip(openError(err))
	}
	must(t, err)
	f := os.NewFile(uintptr(fd), "inheritable")
	t.Cleanup(func() { _ = f.Close() })
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}),
	)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("needs CAP_NET_ADMIN and CAP_AUDIT_READ to make a socket for others to inherit: %v", err)
	}
	must(t, err)
	return f
}

func TestListenWithoutCapabilityReturnsErrPermission(t *testing.T) {
	t.Parallel()
	r := child(t, "listen", childConfig{}, nil, powerless())
	if r.CapEff != "0000000000000000" {
		t.Skipf("needs a process without capabilities, got %s", r.CapEff)
	}
	switch fmt.Sprint(r.Sentinels) {
	case "[EPERM ErrPermission]":
	case "[ErrUnavailable]", "[ErrForeignNamespace]":
		t.Skip(r.Err)
	default:
		t.Errorf("got %v (%s), want ErrPermission and EPERM", r.Sentinels, r.Err)
	}
	for _, hint := range []string{"CAP_AUDIT_READ", "ListenNetlink=audit 1", "operation not permitted"} {
		if !strings.Contains(r.Err, hint) {
			t.Errorf("%q does not mention %s", r.Err, hint)
		}
	}
}

func TestListenInUserNamespaceReturnsErrPermission(t *testing.T) {
	t.Parallel()
	root := []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
	r := child(t, "listen", childConfig{}, nil, &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root,
	})
	switch fmt.Sprint(r.Sentinels) {
	case "[EPERM ErrPermission]":
	case "[ErrUnavailable]", "[ErrForeignNamespace]":
		t.Skip(r.Err)
	default:
		t.Errorf("got %v (%s), want ErrPermission", r.Sentinels, r.Err)
	}
}

func TestListenInForeignNetworkNamespaceReturnsErrForeignNamespace(t *testing.T) {
	t.Parallel()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	r := child(t, "listen", childConfig{}, nil, attr)
	if fmt.Sprint(r.Sentinels) != "[ErrForeignNamespace]" {
		t.Errorf("got %v (%s), want ErrForeignNamespace", r.Sentinels, r.Err)
	}
}

// The descriptor is inherited by a process without any right, after messages
// of every sort have queued up.
func TestInheritedSocketIsReadWithoutCapabilities(t *testing.T) {
	t.Parallel()
	attrs := map[string]*syscall.SysProcAttr{
		"same network namespace": powerless(),
		"other network namespace": {
			Cloneflags: syscall.CLONE_NEWNET, Credential: powerless().Credential,
		},
	}
	for name, attr := range attrs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			probe := listen(t, &Config{Types: []uint16{1107}, ReadBuffer: 1 << 20})
			f := inheritable(t)
			r, token := relay(t)
			forger := forger(t)

			const relayed = 20
			cfg := childConfig{Types: []uint16{1107}, Token: token, Want: relayed}
			for i := range relayed {
				must(t, r.Send(token+strconv.Itoa(i)))
			}
			awaitRelayed(t, probe, token, relayed)
			must(t, forger.Multicast(1107, token+"forged"))
			must(t, forger.Multicast(uniqueType(), token+"forged"))
			must(t, forger.Unicast(portOf(t, f), 1107, token+"forged"))
			must(t, r.Send(token+"last"))
			cfg.Want++

			got := child(t, "adopt", cfg, f, attr)
			if got.Err != "" {
				t.Fatal(got.Err)
			}
			if os.Getuid() == 0 && (got.UID != 65534 || got.CapEff != "0000000000000000") {
				t.Errorf("the reader had uid %d and capabilities %s", got.UID, got.CapEff)
			}
			for i, text := range got.Texts {
				want := token + strconv.Itoa(i)
				if i == relayed {
					want = token + "last"
				}
				if !strings.Contains(text, "msg='"+want+"'") {
					t.Errorf("message %d: got %q, want %s", i, text, want)
				}
			}
			if got.Stats.Forged < 3 {
				t.Errorf("got %+v, want at least 3 forged", got.Stats)
			}
			if got.Verified {
				t.Error("the namespace of an inherited socket cannot have been verified")
			}
		})
	}
}

// Foreign types that were queued before the filter do not get through, and the
// filter is there afterwards.
func TestInheritedSocketReturnsOnlyTheTypesAskedFor(t *testing.T) {
	t.Parallel()
	probe := listen(t, &Config{Types: []uint16{1107}, ReadBuffer: 1 << 20})
	f := inheritable(t)
	r, token := relay(t)
	forger := forger(t)
	const relayed = 30
	for range relayed {
		must(t, r.Send(token))
	}
	awaitRelayed(t, probe, token, relayed)

	typ := uniqueType()
	adopted, err := FileConn(f, &Config{Types: []uint16{typ}})
	c := opened(t, adopted, err)
	const refused = 1000
	for range refused { // by the filter
		must(t, forger.Multicast(1107, token))
	}
	must(t, forger.Multicast(typ, token)) // the filter lets it through: Receive returns
	for c.Stats().Filtered < relayed || c.Stats().Forged == 0 {
		msgs, err := c.Receive()
		if err != nil || len(msgs) != 0 {
			t.Fatalf("got %v, %v, %+v, want %d foreign, some forged, and no message", msgs, err, c.Stats(), relayed)
		}
	}
	// Others may have forged something before the filter was there.
	if s := c.Stats(); s.Forged >= refused {
		t.Errorf("got %+v: the filter is not there", s)
	}
}

func TestInheritedReadBufferNeverShrinks(t *testing.T) {
	t.Parallel()
	// More than rmem_max, so that SO_RCVBUF would make it smaller.
	const large = 64 << 20
	for _, tt := range []struct {
		name            string
		inherited, want int
		attr            *syscall.SysProcAttr
		met             bool
		check           func(got int) bool
	}{
		{"asks for nothing", large, 0, powerless(), true, func(got int) bool { return got == large }},
		{"asks for less", large, 1 << 20, powerless(), true, func(got int) bool { return got == large }},
		{"asks for more without capability", large, 2 * large, powerless(), false, func(got int) bool { return got == large }},
		{"asks for more with capability", large, 2 * large, nil, true, func(got int) bool { return got == 2*large }},
		{"small one, asks for more without capability", 1 << 12, 1 << 30, powerless(), false, func(got int) bool { return got > 1<<12 }},
		{"asks for more than there can be", 1 << 12, math.MaxInt32, nil, false, func(got int) bool { return got == 1<<30-1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := inheritable(t)
			must(t, unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tt.inherited))
			got := child(t, "adopt", childConfig{ReadBuffer: tt.want}, f, tt.attr)
			if got.Err != "" {
				t.Fatal(got.Err)
			}
			if met := got.ReadBuffer >= tt.want; !tt.check(got.ReadBuffer) || met != tt.met {
				t.Errorf("got %d bytes, met %v", got.ReadBuffer, met)
			}
			real, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVBUF)
			if err != nil || real != 2*got.ReadBuffer {
				t.Errorf("reported %d bytes, the kernel has %d set aside (%v), want the double", got.ReadBuffer, real, err)
			}
		})
	}
}

func TestCookieAndDropsSurviveTheProcess(t *testing.T) {
	t.Parallel()
	c := listen(t, &Config{})
	f := inheritable(t)
	forger := forger(t)
	must(t, unix.SetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_RCVBUF, 0)) // the smallest there is
	typ := uniqueType()
	for range 50 {
		must(t, forger.Multicast(typ, "overrun"))
	}
	first := child(t, "adopt", childConfig{}, f, powerless())
	second := child(t, "adopt", childConfig{}, f, powerless())
	if first.Err != "" || first.Cookie == 0 || first.Cookie != second.Cookie {
		t.Errorf("got cookies %d and %d (%s), want the same", first.Cookie, second.Cookie, first.Err)
	}
	if first.Cookie == c.Cookie() {
		t.Errorf("another socket has the cookie %d as well", c.Cookie())
	}
	if first.Drops == 0 || second.Drops < first.Drops {
		t.Errorf("got %d, then %d drops, want what was dropped before", first.Drops, second.Drops)
	}
}

func TestFileConnRefusesWhatIsNoJoinedAuditSocket(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	must(t, err)
	defer file.Close()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer udp.Close()
	udpFile, err := udp.File()
	must(t, err)
	defer udpFile.Close()
	netlink := func(proto int) *os.File {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			t.Skip(openError(err))
		}
		must(t, err)
		f := os.NewFile(uintptr(fd), "netlink")
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	closed := netlink(unix.NETLINK_AUDIT)
	must(t, closed.Close())
	for _, tt := range []struct {
		name string
		file *os.File
		want error
	}{
		{"regular file", file, ErrNotAudit},
		{"udp socket", udpFile, ErrNotAudit},
		{"other netlink socket", netlink(unix.NETLINK_ROUTE), ErrNotAudit},
		{"audit socket outside the group", netlink(unix.NETLINK_AUDIT), ErrNotJoined},
		{"closed file", closed, unix.EBADF},
	} {
		c, err := FileConn(tt.file, nil)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, c, err, tt.want)
		}
		if _, ok := errors.AsType[*OpError](err); !ok {
			t.Errorf("%s: got %T, want *OpError", tt.name, err)
		}
	}
}

// portOf returns the port id of a netlink socket.
func portOf(t *testing.T, f *os.File) uint32 {
	t.Helper()
	sa, err := unix.Getsockname(int(f.Fd()))
	must(t, err)
	return sa.(*unix.SockaddrNetlink).Pid
}
