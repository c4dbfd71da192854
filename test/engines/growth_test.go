package engines

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
)

// growth runs the test that only measures.
var growth = flag.Bool("growth", false, "measure 100, 1000 and 10000 hosts, and print a table")

// perHost is how many events a host has in the table: two of them are no accesses.
const perHost = 22

// connections is how many connections the hosts share in the table: a process cannot
// have ten thousand clients.
const connections = 100

// resident returns the memory of a process in MiB, now or at most. getrusage(2) would
// say what this process had when it started the other.
func resident(pid int, key string) (n int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			_, _ = fmt.Sscan(rest, &n)
		}
	}
	return n >> 10
}

func TestGrowth(t *testing.T) {
	if !*growth {
		t.Skip("only measures: go test . -run Growth -growth -v")
	}
	t.Logf("| hosts | events | published | on disk | server | `report --json` | its memory |")
	t.Logf("|---|---|---|---|---|---|---|")
	for _, hosts := range []int{100, 1000, 10_000} {
		p := newProcess(t)
		p.start()
		js := streams(t, p.url())
		makeStream(t, js, nil)
		of := make([][]*sink.Entry, connections)
		events := 0
		for i, e := range fleet(form(t, format.AppendJSON), hosts, perHost-2) {
			c := i % hosts % connections
			of[c] = append(of[c], e)
			events++
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		begin := time.Now()
		var wg sync.WaitGroup
		for _, entries := range of {
			wg.Go(func() {
				out, _ := newSink(t, p.url(), nil)
				if _, err := deliverAll(ctx, out, entries, 100, func(int) {}); err != nil {
					t.Error(err)
				}
				out.Close()
			})
		}
		wg.Wait()
		took := time.Since(begin)
		stream, err := js.Stream(ctx, "IPE")
		check(t, err)

		path, err := program()
		check(t, err)
		cmd := exec.CommandContext(ctx, path, "report", "--json", p.url()+"/IPE")
		begin = time.Now()
		var out bytes.Buffer
		cmd.Stdout = &out
		check(t, cmd.Start())
		ended, most := make(chan error), 0
		go func() { ended <- cmd.Wait() }()
		for running := true; running; {
			select {
			case err = <-ended:
				running = false
			case <-time.After(5 * time.Millisecond):
				most = max(most, resident(cmd.Process.Pid, "VmHWM"))
			}
		}
		check(t, err)
		answer := out.Bytes()
		asked := time.Since(begin)
		var r struct{ Hosts []struct{ Events int } }
		check(t, json.Unmarshal(answer, &r))
		sum := 0
		for _, h := range r.Hosts {
			sum += h.Events
		}
		if len(r.Hosts) != hosts || sum != events {
			t.Errorf("report has %d hosts and %d events, want %d and %d", len(r.Hosts), sum, hosts, events)
		}
		t.Logf("| %d | %d | %.0f/s | %d MiB | %d MiB | %.1f s | %d MiB |", hosts, events, float64(events)/took.Seconds(),
			stream.CachedInfo().State.Bytes>>20, resident(p.cmd.Process.Pid, "VmRSS"), asked.Seconds(), most)
		p.kill()
	}
}
