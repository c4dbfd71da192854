package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const plenty = 1_000_000 // runs a minute

// note is a script that notes what it was given, and then does more.
func note(t testing.TB, out, more string) []string {
	return script(t, `read x; echo "$x $IPE_COALESCED" >>`+out+"\n"+more)
}

func TestEachReportsHowTheRunEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script, want string
		exits              string
	}{
		{"exit status", "exit 3", "exit status 3", "exits 3"},
		{"signal", "kill -15 $$", "signal: terminated", "exits signal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, Config{Command: script(t, tt.script), Mode: ModeEach})
			err := s.Write(context.Background(), line("{}\n"))
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(map[string]uint64{"runs": 1, "command_failures": 1, tt.exits: 1}, counted(s)); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimeoutKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{
		Command: script(t, "sleep 1000 & echo $! >"+dir+"/child; echo $$ >"+dir+"/leader; wait"),
		Mode:    ModeEach,
		Timeout: 500 * time.Millisecond,
	})
	if err := s.Write(context.Background(), line("{}\n")); !errors.Is(err, errTimeout) {
		t.Fatalf("got %v, want %v", err, errTimeout)
	}
	eventually(t, "the leader dies", func() bool { return gone(t, dir+"/leader") })
	eventually(t, "the child dies", func() bool { return gone(t, dir+"/child") })
	if st := counted(s); st["timeouts"] != 1 || st["command_failures"] != 1 {
		t.Errorf("got %+v, want one time-out", st)
	}
}

func TestRunEndsWithTheContextAndWithClose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(s *Sink, cancel context.CancelFunc)
		want error
	}{
		{"context", func(_ *Sink, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"close", func(s *Sink, _ context.CancelFunc) { s.Close() }, os.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pid := filepath.Join(t.TempDir(), "pid")
			s := open(t, Config{Command: script(t, "echo $$ >"+pid+"; exec sleep 1000"), Mode: ModeEach})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan error)
			go func() { done <- s.Write(ctx, line("{}\n")) }()
			eventually(t, "the run starts", func() bool { return content(t, pid) != "" })
			tt.end(s, cancel)
			if err := <-done; !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if !gone(t, pid) {
				t.Error("the run goes on")
			}
		})
	}
}

func TestEventsBeyondTheLimitAreCoalescedAndTold(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: note(t, out, ""), Mode: ModeEach, MaxPerMinute: 2})
	write(t, s, "1\n", "2\n", "3\n", "4\n", "5\n")
	if diff := cmp.Diff("1 0\n2 0\n", content(t, out)); diff != "" {
		t.Fatalf("runs before the minute is over (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Flush with events that nobody heard of: %v, want deadline exceeded", err)
	}

	s.each.limit.per = 0 // the minute is over
	flush(t, s)
	write(t, s, "6\n")
	flush(t, s)
	if diff := cmp.Diff("1 0\n2 0\n5 2\n6 0\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if st := counted(s); st["without_run"] != 3 || st["runs"] != 4 {
		t.Errorf("got %+v, want 3 coalesced and 4 runs", st)
	}
}

func TestNextRunHearsOfCoalescedEvents(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: note(t, out, ""), Mode: ModeEach, MaxPerMinute: 1})
	write(t, s, "1\n", "2\n", "3\n")
	s.each.limit.per = 0
	write(t, s, "4\n")
	flush(t, s)
	if diff := cmp.Diff("1 0\n4 2\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// The count must not get lost when its run fails, nor be told twice.
func TestCoalescedEventsSurviveAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := dir + "/out"
	s := open(t, Config{
		Command: script(t, `read x; [ "$x" != 3 ] || [ -e `+dir+`/repaired ]; echo "$x $IPE_COALESCED" >>`+out),
		Mode:    ModeEach, MaxPerMinute: 1,
	})
	all := []string{"1\n", "2\n", "3\n"}
	write(t, s, all...)
	s.each.limit.per = 0
	if err := s.Flush(context.Background()); err == nil {
		t.Fatal("the run fails, but Flush does not")
	}
	if err := os.WriteFile(dir+"/repaired", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.each.limit.per = time.Hour
	reopen(t, s)
	write(t, s, all...)
	s.each.limit.per = 0
	flush(t, s)
	if diff := cmp.Diff("1 0\n3 1\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestGoodRunsAreNotRepeatedAfterAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := dir + "/out"
	s := open(t, Config{
		Command: script(t, `read x; [ "$x" != bad ] || [ -e `+dir+`/repaired ]; echo "$x" >>`+out),
		Mode:    ModeEach, MaxPerMinute: plenty,
	})
	for range 3 {
		write(t, s, "1\n", "2\n", "2\n")
		if err := s.Write(context.Background(), line("bad\n")); err == nil {
			t.Fatal("the run fails, but Write does not")
		}
		reopen(t, s)
	}
	if err := os.WriteFile(dir+"/repaired", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, s, "1\n", "2\n", "2\n", "bad\n", "3\n")
	flush(t, s)
	// From here on it is another event, if it looks the same or not.
	write(t, s, "1\n")
	flush(t, s)
	if diff := cmp.Diff("1\n2\n2\nbad\n3\n1\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestOtherEventsAfterAFailureHaveTheirRuns(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: note(t, out, ""), Mode: ModeEach, MaxPerMinute: plenty})
	write(t, s, "1\n", "2\n", "3\n")
	reopen(t, s)
	write(t, s, "2\n", "3\n", "4\n") // the spool gave 1 up
	reopen(t, s)
	write(t, s, "2\n", "3\n", "4\n", "5\n")
	flush(t, s)
	if diff := cmp.Diff("1 0\n2 0\n3 0\n2 0\n3 0\n4 0\n5 0\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestOtherEventsAfterAFailureMayBeCoalesced(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: note(t, out, ""), Mode: ModeEach, MaxPerMinute: 3})
	write(t, s, "1\n", "2\n", "3\n")
	reopen(t, s)
	write(t, s, "2\n", "3\n")
	s.each.limit.per = 0
	flush(t, s)
	if diff := cmp.Diff("1 0\n2 0\n3 0\n3 1\n", content(t, out)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// A command that no policy covers, in permissive mode: every run of it causes
// an event with its pid, which must not cause the next run.
func TestCommandDoesNotFeedItself(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	s := open(t, Config{Command: script(t, "echo $$ >>"+out), Mode: ModeEach, MaxPerMinute: plenty})
	wouldDeny := func(pid uint64, at time.Time) *sink.Entry {
		return &sink.Entry{
			Event: &ipe.Event{
				Kind: ipe.KindAccess, Verdict: ipe.VerdictWouldDeny, Has: ipe.HasPID | ipe.HasStamp,
				PID: pid, Time: at.UnixMilli(),
			},
			Bytes: []byte("{}\n"),
		}
	}
	put := func(e *sink.Entry) {
		t.Helper()
		if err := s.Write(context.Background(), e); err != nil {
			t.Fatal(err)
		}
		flush(t, s)
	}
	put(wouldDeny(1, time.Now()))
	for range 5 {
		runs := strings.Fields(content(t, out))
		pid, err := strconv.ParseUint(runs[len(runs)-1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		put(wouldDeny(pid, time.Now()))
		for p, want := range map[uint64]bool{pid: true, 1: false} {
			if s.Caused(wouldDeny(p, time.Now()).Event) != want {
				t.Errorf("process %d is its own: want %v", p, want)
			}
		}
	}
	if n := len(strings.Fields(content(t, out))); n != 1 {
		t.Errorf("%d runs, want 1", n)
	}
	if st := counted(s); st["own_events"] != 5 {
		t.Errorf("%d events counted as its own, want 5", st["own_events"])
	}
	put(wouldDeny(1, time.Now()))
	if n := len(strings.Fields(content(t, out))); n != 2 {
		t.Errorf("%d runs after another one's event, want 2", n)
	}
}

func TestOwnEventsMatch(t *testing.T) {
	t.Parallel()
	begin := time.UnixMilli(1_800_000_000_000)
	end := begin.Add(100 * time.Millisecond)
	o := newOwnEvents()
	o.comm = []byte("ipe-auditd")
	o.add(4711, begin, end)
	o.add(0, begin.Add(time.Hour), end.Add(time.Hour)) // did not start
	for _, tt := range []struct {
		name string
		pid  uint64
		comm string
		at   time.Time
		has  ipe.Has
		want bool
	}{
		{"of the run", 4711, "sh", begin, ipe.HasPID | ipe.HasStamp, true},
		{"of the run, clock one tick behind", 4711, "sh", begin.Add(-10 * time.Millisecond), ipe.HasPID | ipe.HasStamp, true},
		{"of another process", 4712, "sh", begin, ipe.HasPID | ipe.HasStamp, false},
		{"of an earlier process with the id", 4711, "sh", begin.Add(-2 * time.Second), ipe.HasPID | ipe.HasStamp, false},
		{"of a later process with the id", 4711, "sh", end.Add(2 * time.Second), ipe.HasPID | ipe.HasStamp, false},
		{"without a pid", 4711, "sh", begin, ipe.HasStamp, false},
		{"without a stamp", 4711, "sh", begin, ipe.HasPID, false},
		{"of the start that was refused", 99, "ipe-auditd", begin.Add(time.Hour), ipe.HasPID | ipe.HasStamp, true},
		{"of another process meanwhile", 99, "sh", begin.Add(time.Hour), ipe.HasPID | ipe.HasStamp, false},
		{"of the daemon at another time", 99, "ipe-auditd", begin.Add(time.Hour - time.Second), ipe.HasPID | ipe.HasStamp, false},
	} {
		ev := &ipe.Event{Kind: ipe.KindAccess, Has: tt.has, PID: tt.pid, Comm: []byte(tt.comm), Time: tt.at.UnixMilli()}
		if got := o.match(ev); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestOwnEventsForgetTheOldest(t *testing.T) {
	t.Parallel()
	o := newOwnEvents()
	at := time.UnixMilli(1_800_000_000_000)
	for pid := range recentRuns + 1 {
		o.add(1+pid, at, at)
	}
	match := func(pid uint64) bool {
		return o.match(&ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasPID | ipe.HasStamp, PID: pid, Time: at.UnixMilli()})
	}
	if match(1) || !match(2) || !match(recentRuns+1) {
		t.Errorf("first %t, second %t, last %t; want only the first forgotten", match(1), match(2), match(recentRuns+1))
	}
}

func TestLimiterAllowsNoMoreInAnyMinute(t *testing.T) {
	t.Parallel()
	l := limiter{max: 3, per: time.Minute}
	now := time.Unix(1_800_000_000, 0)
	for i, tt := range []struct{ at, want time.Duration }{
		{0, 0}, {10 * time.Second, 0}, {20 * time.Second, 0},
		{30 * time.Second, 30 * time.Second},
		{59 * time.Second, time.Second},
		{60 * time.Second, 0},
		{61 * time.Second, 9 * time.Second},
		{200 * time.Second, 0}, {200 * time.Second, 0}, {200 * time.Second, 0},
		{200 * time.Second, 60 * time.Second},
	} {
		at := now.Add(tt.at)
		if got := l.wait(at); got != tt.want {
			t.Errorf("step %d, at %v: wait %v, want %v", i, tt.at, got, tt.want)
		}
		if tt.want == 0 {
			l.add(at)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		entry, line string
		variables   []string
	}{
		{"{}\nA=1\x00B=x\ny\x00", "{}\n", []string{"A=1", "B=x\ny"}},
		{"{}\n", "{}\n", nil},
		{"{}", "{}", nil},
	} {
		line, variables := split([]byte(tt.entry))
		if diff := cmp.Diff(tt.line, string(line)); diff != "" {
			t.Errorf("%q: line (-want +got):\n%s", tt.entry, diff)
		}
		if diff := cmp.Diff(tt.variables, variables); diff != "" {
			t.Errorf("%q: variables (-want +got):\n%s", tt.entry, diff)
		}
	}
}
