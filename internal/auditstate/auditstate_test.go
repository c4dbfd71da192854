package auditstate

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/host"
)

// quick is a pace for tests.
func quick() Pace {
	return Pace{Idle: time.Minute, Life: time.Minute, Between: 0, Write: time.Second}
}

func listen(t *testing.T) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve runs a helper until the end of the test and returns where it listens.
func serve(t *testing.T, collect func() State, p Pace) string {
	t.Helper()
	l := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Serve(l, collect, p); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

func sample() State {
	return State{
		Version: Version,
		Status:  &Status{Enabled: 1, Failure: 1, PID: 7, RateLimit: 2, BacklogLimit: 64, Lost: 4294967295, Backlog: 3, BacklogWaitTime: 15000, BacklogWaitTimeActual: 9},
		Rules:   &host.RuleCounts{Total: 3, Exclude: []host.ExcludedType{{Type: 1420, All: 1}}, TaskNever: 1},
	}
}

func TestAskReturnsWhatTheHelperCollected(t *testing.T) {
	t.Parallel()
	path := serve(t, sample, quick())
	for range 3 {
		got, err := Ask(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sample(), got); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
	}
}

func TestAnswerIsOneVersionedLineOfJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":1,"status":{"enabled":1,"failure":1,"pid":7,"rate_limit":2,"backlog_limit":64,"lost":4294967295,"backlog":3,` +
		`"backlog_wait_time":15000,"backlog_wait_time_actual":9},` +
		`"rules":{"total":3,"exclude":[{"type":1420,"all":1,"some":0}],"task_never":1,"exit_never":0,"exit_always":0,"fs_never":0}}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestCollectSaysWhatTheKernelSays(t *testing.T) {
	t.Parallel()
	st := Collect()
	if st.Version != Version || (st.Status == nil) == (st.Error == "") || (st.Rules == nil) == (st.RulesError == "") {
		t.Errorf("incomplete: %+v", st)
	}
	direct, err := host.QueryAudit()
	if err != nil {
		t.Skipf("needs CAP_AUDIT_CONTROL and a kernel with audit: %v", err)
	}
	if st.Status == nil || st.Status.BacklogLimit != direct.BacklogLimit || st.Status.BacklogWaitTime != direct.BacklogWaitTime {
		t.Errorf("collected %+v, AUDIT_GET says %+v", st.Status, direct)
	}
}

// TestServeReadsNothing has a peer that sends, and peers that do not read or have
// gone: the answer of the others does not depend on them.
func TestServeReadsNothing(t *testing.T) {
	t.Parallel()
	path := serve(t, sample, quick())
	for range 20 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go conn.Write(make([]byte, 1<<20)) //nolint:errcheck // more than fits into the buffer, until the test ends
	}
	if _, err := Ask(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func TestServeEndsWhenNobodyComes(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]Pace{
		"idle": {Idle: time.Nanosecond, Life: time.Hour},
		"old":  {Idle: time.Hour, Life: time.Nanosecond},
	} {
		if err := Serve(listen(t), sample, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServeKeepsItsOwnPace floods a helper: it collects no more often than its
// pace lets it.
func TestServeKeepsItsOwnPace(t *testing.T) {
	t.Parallel()
	l := listen(t)
	var asked atomic.Int64
	p := Pace{Idle: time.Hour, Life: 400 * time.Millisecond, Between: 100 * time.Millisecond, Write: time.Second}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if conn, err := net.DialTimeout("unix", l.Addr().String(), time.Second); err == nil {
					conn.Close()
				}
			}
		})
	}
	err := Serve(l, func() State { asked.Add(1); return sample() }, p)
	close(stop)
	l.Close()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n < 1 || n > 5 {
		t.Errorf("asked %d times in 0.4 s, with a tenth of a second between", n)
	}
}

func TestAskRefusesWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "no answer"},
		{"garbage", "\x00\xff\n", "not JSON"},
		{"half a line", `{"version":1`, "not one line"},
		{"two lines", "{\"version\":1}\n{}\n", "not one line"},
		{"no end", strings.Repeat("a", maxAnswer+10), "not one line"},
		{"another version", `{"version":2,"status":{"lost":"many"}}` + "\n", "another version"},
		{"no version", `{"status":{"lost":1}}` + "\n", "another version"},
		{"no status", `{"version":1}` + "\n", "no status"},
		{"a negative number", `{"version":1,"status":{"lost":-1}}` + "\n", "cannot be read"},
		{"too large a number", `{"version":1,"status":{"lost":4294967296}}` + "\n", "cannot be read"},
		{"refused", `{"version":1,"error":"operation not\u001b permitted"}` + "\n", `"operation not\x1b permitted"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write([]byte(tt.text)) //nolint:errcheck // the client stops reading what is too long
				conn.Close()
			}()
			st, err := Ask(t.Context(), l.Addr().String())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v; want an error with %q", st, err, tt.want)
			}
		})
	}
}

func TestAskSaysThatThereIsNoHelper(t *testing.T) {
	t.Parallel()
	if _, err := Ask(t.Context(), filepath.Join(t.TempDir(), "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
	l := listen(t)
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := Ask(t.Context(), l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want that it is refused", err)
	}
}

// TestAskDoesNotWaitForAHelperThatHangs has one that nobody starts, one that
// never answers, and one whose queue of connections is full.
func TestAskDoesNotWaitForAHelperThatHangs(t *testing.T) {
	t.Parallel()
	l := listen(t)
	for n := 0; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := Ask(ctx, l.Addr().String())
		cancel()
		if err == nil {
			t.Fatal("an answer of nobody")
		}
		if n == 3 {
			break
		}
	}
	full := stuffed(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, full); err == nil {
		t.Error("an answer of a socket that is full")
	}
}

// stuffed returns a socket that takes no more connections.
func stuffed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { syscall.Close(fd) })
		err = errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path
}

func TestAskBelievesNoStranger(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, whose sockets everybody believes")
	}
	// The credentials are those of who called listen(2).
	path := serve(t, sample, quick())
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := trusted(conn.(*net.UnixConn), 54321); err != nil {
		t.Errorf("root is not believed: %v", err)
	}
	if err := trusts(54321, 0); err == nil {
		t.Error("user 54321 is believed")
	}
	if err := trusts(54321, 54321); err != nil {
		t.Errorf("our own user is not believed: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":1,"status":{"lost":1}}` + "\n"))
	f.Add([]byte("{}\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		st, err := parse(text)
		if (err == nil) != (st.Status != nil) {
			t.Errorf("%+v, %v", st, err)
		}
	})
}
