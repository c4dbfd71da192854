package netlinkaudit

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/audittest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// patience ends a test that would otherwise hang. Nothing waits that long.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		runChild(name)
	}
	goleak.VerifyTestMain(m)
}

// uniqueType returns a record type that hardly any other test uses, here or in
// another process: the real audit group is shared by the whole machine.
func uniqueType() uint16 { return uint16(0x8000 | rand.N(0x8000)) }

// on returns cfg for the stand-in group.
func on(group *audittest.Group, cfg Config) *Config {
	cfg.Protocol, cfg.NetNS = audittest.Protocol, group.NetNS()
	return &cfg
}

// listen opens a Conn, or skips the test where the machine forbids it.
func listen(tb testing.TB, cfg *Config) *Conn {
	tb.Helper()
	c, err := Listen(cfg)
	for _, reason := range []error{ErrPermission, ErrUnavailable, ErrForeignNamespace} {
		if errors.Is(err, reason) {
			tb.Skip(err)
		}
	}
	return opened(tb, c, err)
}

// opened closes c with the test and gives it a deadline.
func opened(tb testing.TB, c *Conn, err error) *Conn {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		tb.Fatal(err)
	}
	return c
}

// duplicate returns another descriptor of c's socket, as if inherited.
func duplicate(tb testing.TB, c *Conn) *os.File {
	tb.Helper()
	var f *os.File
	err := c.sock.use(func(fd int) error {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		f = os.NewFile(uintptr(dup), "inherited")
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}

// allowENOBUFS undoes NETLINK_NO_ENOBUFS, as on a socket that somebody else made.
func allowENOBUFS(tb testing.TB, c *Conn) {
	tb.Helper()
	must(tb, c.sock.use(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 0)
	}))
}

// receive returns the next n messages, copied.
func receive(tb testing.TB, c *Conn, n int) []Message {
	tb.Helper()
	var got []Message
	for len(got) < n {
		msgs, err := c.Receive()
		if err != nil {
			tb.Fatalf("after %d of %d messages: %v", len(got), n, err)
		}
		for _, m := range msgs {
			m.Data = append([]byte(nil), m.Data...)
			got = append(got, m)
		}
	}
	return got
}

func drops(tb testing.TB, c *Conn) uint64 {
	tb.Helper()
	n, err := c.Drops()
	must(tb, err)
	return n
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// forger returns a Sender to the real audit group.
func forger(tb testing.TB) *audittest.Sender {
	tb.Helper()
	s, err := audittest.Forger()
	must(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// relay returns a Relay, and with it what to begin texts with.
func relay(tb testing.TB) (r *audittest.Relay, token string) {
	tb.Helper()
	r, err := audittest.NewRelay()
	must(tb, err)
	tb.Cleanup(func() { _ = r.Close() })
	return r, newToken()
}

// awaitRelayed receives n messages that contain token. When the Conn is older
// than another socket of the group, that one then has them in its queue, or
// has dropped them: the kernel delivers to the youngest first (sk_add_bind_node
// in netlink_update_subscriptions, net/netlink/af_netlink.c).
func awaitRelayed(tb testing.TB, older *Conn, token string, n int) {
	tb.Helper()
	for n > 0 {
		msgs, err := older.Receive()
		must(tb, err)
		for _, m := range msgs {
			n -= bytes.Count(m.Data, []byte(token))
		}
	}
}
