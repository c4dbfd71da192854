package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nats"
)

// deliverAll delivers entries as the runner does: in batches, and after a failure from
// the first that was not flushed. flushed is told how far it is.
func deliverAll(ctx context.Context, s *nats.Sink, entries []*sink.Entry, batch int, flushed func(int)) (failures int, err error) {
	for done := 0; done < len(entries); {
		n := min(batch, len(entries)-done)
		err := s.Open(ctx)
		for i := 0; err == nil && i < n; i++ {
			err = s.Write(ctx, entries[done+i])
		}
		if err == nil {
			err = s.Flush(ctx)
		}
		if err == nil {
			done += n
			flushed(done)
			continue
		}
		if ctx.Err() != nil {
			return failures, fmt.Errorf("after %d of %d: %w", done, len(entries), err)
		}
		failures++
		s.Close()
		time.Sleep(20 * time.Millisecond) // the runner's pause
	}
	return failures, nil
}

// checkStored checks that each entry is in the stream once, and that those of each
// host are there in their order.
func checkStored(t testing.TB, js jetstream.JetStream, entries []*sink.Entry) {
	t.Helper()
	all, err := stored(limited(t), js)
	check(t, err)
	type identity struct {
		Spool string
		Seq   uint64
	}
	want := make(map[identity]bool, len(entries))
	for _, e := range entries {
		want[identity{e.Cursor.ID.String(), e.Cursor.Seq}] = true
	}
	got, last := make(map[identity]int), make(map[string]uint64)
	for _, m := range all {
		var id identity
		check(t, json.Unmarshal(m.Data(), &id))
		if got[id]++; got[id] > 1 || !want[id] {
			t.Fatalf("%v is there %d times, is to be there: %v", id, got[id], want[id])
		}
		if id.Seq != last[id.Spool]+1 {
			t.Fatalf("%v is behind %d", id, last[id.Spool])
		}
		last[id.Spool] = id.Seq
	}
	if len(got) != len(want) {
		t.Errorf("%d events are there, %d were sent", len(got), len(want))
	}
}

// The server is killed again and again while events are delivered.
func TestEachEventIsStoredOnceThoughTheServerIsKilled(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start()
	makeStream(t, streams(t, p.url()), nil)
	out, said := newSink(t, p.url(), func(o *natsOptions) { o.Timeout = 5 * time.Second })
	entries := fleet(form(t, format.AppendJSON), 1, 15_000)
	killings := make(chan bool, 3)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range killings {
			p.kill()
			p.start()
		}
	})
	failures, err := deliverAll(limited(t), out, entries, 100, func(n int) {
		if n%4000 == 0 {
			killings <- true
		}
	})
	close(killings)
	wg.Wait()
	check(t, err)
	if failures == 0 {
		t.Error("the sink has not noticed anything")
	}
	checkStored(t, streams(t, p.url()), entries)
	if len(said.refused) > 0 {
		t.Errorf("told %+v", said.refused)
	}
	t.Logf("%d failures, %d answers \"duplicate\"", failures, out.Counters()[2].Count)
}

// The leader of a stream with three replicas goes and comes back.
func TestEachEventIsStoredOnceThoughTheLeaderGoes(t *testing.T) {
	t.Parallel()
	var options []*server.Options
	var routes []string
	for i := range 3 {
		o := &server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "engines", Host: "127.0.0.1", Port: freePort(t)},
		}
		options = append(options, o)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", o.Cluster.Port))
	}
	servers := make([]*server.Server, 3)
	var urls []string
	begin := func(i int) {
		o := options[i].Clone()
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		s, err := server.NewServer(o)
		check(t, err)
		s.Start()
		servers[i] = s
	}
	for i := range servers {
		begin(i)
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", options[i].Port))
	}
	t.Cleanup(func() {
		for _, s := range servers {
			s.Shutdown()
			s.WaitForShutdown()
		}
	})
	out, said := newSink(t, urls[0], func(o *natsOptions) {
		o.Servers, o.Create, o.Timeout = urls, true, 5*time.Second
	})
	ctx := limited(t)
	for out.Open(ctx) != nil { // until the cluster has a leader
		if ctx.Err() != nil {
			t.Fatal("the cluster does not come up")
		}
		time.Sleep(20 * time.Millisecond)
	}
	js := streams(t, strings.Join(urls, ","))
	stream, err := js.Stream(ctx, "IPE")
	check(t, err)
	if n := stream.CachedInfo().Config.Replicas; n != 3 {
		t.Fatalf("the stream has %d replicas", n)
	}
	leaving := make(chan bool, 2)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range leaving {
			info, err := stream.Info(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range servers {
				if options[i].ServerName == info.Cluster.Leader {
					servers[i].Shutdown()
					servers[i].WaitForShutdown()
					begin(i)
				}
			}
		}
	})
	entries := fleet(form(t, format.AppendJSON), 1, 10_000)
	failures, err := deliverAll(ctx, out, entries, 100, func(n int) {
		if n == 3000 || n == 7000 {
			leaving <- true
		}
	})
	close(leaving)
	wg.Wait()
	check(t, err)
	checkStored(t, js, entries)
	if len(said.refused) > 0 {
		t.Errorf("told %+v", said.refused)
	}
	t.Logf("%d failures, %d answers \"duplicate\"", failures, out.Counters()[2].Count)
}

// A thousand hosts, each with a connection of its own, while the server is killed.
func TestAThousandHosts(t *testing.T) {
	hosts, accesses := 1000, 40
	if testing.Short() {
		hosts = 100
	}
	p := newProcess(t)
	p.start()
	makeStream(t, streams(t, p.url()), nil)
	all := fleet(form(t, format.AppendJSON), hosts, accesses)
	of := make([][]*sink.Entry, hosts)
	for i, e := range all {
		of[i%hosts] = append(of[i%hosts], e)
	}
	var mu sync.Mutex
	failures, flushed, killed := 0, 0, make(chan bool)
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	var wg sync.WaitGroup
	begin := time.Now()
	for h := range hosts {
		wg.Go(func() {
			out, said := newSink(t, p.url(), func(o *natsOptions) { o.Timeout = 20 * time.Second })
			n, err := deliverAll(ctx, out, of[h], 10, func(n int) {
				mu.Lock()
				defer mu.Unlock()
				if flushed += 10; flushed == len(all)/20*10 {
					close(killed)
				}
			})
			mu.Lock()
			defer mu.Unlock()
			failures += n
			if err != nil || len(said.refused) > 0 {
				t.Errorf("host %d: %v, told %+v", h, err, said.refused)
			}
			out.Close()
		})
	}
	<-killed
	p.kill()
	p.start()
	wg.Wait()
	took := time.Since(begin)
	if failures == 0 {
		t.Error("no sink has noticed anything")
	}
	checkStored(t, streams(t, p.url()), all)
	t.Logf("%d hosts, %d events in %.1fs with a kill -9: %.0f/s, %d failures", hosts, len(all), took.Seconds(), float64(len(all))/took.Seconds(), failures)
}

// daemonOf returns the file of a configuration with a spool in dir and a sink to a
// stream.
func daemonOf(t testing.TB, dir, server string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ipe-auditd.yaml")
	check(t, os.WriteFile(file, fmt.Appendf(nil, "spool: {dir: %s}\napi: {path: \"\"}\nsinks: [{type: nats, servers: [%q], timeout: 5s, from: oldest}]\n", dir, server), 0o600))
	return file
}

func stateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	check(t, os.Mkdir(dir, 0o700))
	return dir
}

// The daemon is killed while it delivers, and gets the same input again; the network
// fails in between.
func TestEachEventIsStoredOnceThoughTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	n := newNetwork(t, address(s))
	entries := fleet(form(t, format.AppendJSON), 5, 4000)
	var lines []byte
	for _, e := range fleet(format.AppendJSON, 5, 4000) {
		lines = append(lines, e.Bytes...)
	}
	file := filepath.Join(t.TempDir(), "events.json")
	check(t, os.WriteFile(file, lines, 0o600))
	config := daemonOf(t, stateDir(t), n.url())
	path, err := program()
	check(t, err)
	ctx := limited(t)
	for _, at := range []uint64{2000, 9000} {
		cmd := exec.CommandContext(ctx, path, "--config", config, "--input", file)
		check(t, cmd.Start())
		for ctx.Err() == nil {
			stream, err := js.Stream(ctx, "IPE")
			check(t, err)
			if stream.CachedInfo().State.Msgs >= at {
				break
			}
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait()
		n.cut()
	}
	time.AfterFunc(100*time.Millisecond, n.fail)
	time.AfterFunc(400*time.Millisecond, n.repair)
	if _, complaint, code := run(t, "--config", config, "--input", file); code != 0 {
		t.Errorf("exit %d: %s", code, complaint)
	}
	checkStored(t, js, entries)
}

// audited returns records as auditd writes them.
func audited(first, n int) []byte {
	var b []byte
	for i := first; i < first+n; i++ {
		b = fmt.Appendf(b, "type=UNKNOWN[1420] msg=audit(1795440956.%03d:%d): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=%d comm=\"sh\" path=\"/p%d\" dev=\"vda2\" ino=%d rule=\"DEFAULT action=DENY\"\n",
			i%1000, i+1, i+1, i, i+1)
	}
	return b
}

// A state directory is copied, as the image of a machine is, and both daemons deliver
// to one stream: no event is taken for one of the other's.
func TestCopiesOfAStateDirectoryDeliverEachEvent(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	js := streams(t, url(s))
	makeStream(t, js, nil)
	dirs := []string{stateDir(t), filepath.Join(t.TempDir(), "copy")}
	input := func(first, n int) string {
		file := filepath.Join(t.TempDir(), "audit.log")
		check(t, os.WriteFile(file, audited(first, n), 0o600))
		return file
	}
	if _, complaint, code := run(t, "--config", daemonOf(t, dirs[0], url(s)), "--input", input(0, 300)); code != 0 {
		t.Fatalf("exit %d: %s", code, complaint)
	}
	if out, err := exec.Command("cp", "-a", dirs[0], dirs[1]).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var wg sync.WaitGroup
	for i, dir := range dirs {
		config, file := daemonOf(t, dir, url(s)), input(300+1000*i, 1000)
		wg.Go(func() {
			if _, complaint, code := run(t, "--config", config, "--input", file); code != 0 {
				t.Errorf("exit %d: %s", code, complaint)
			}
		})
	}
	wg.Wait()
	all, err := stored(limited(t), js)
	check(t, err)
	times := make(map[string]int)
	for _, m := range all {
		var ev struct{ Path string }
		check(t, json.Unmarshal(m.Data(), &ev))
		if ev.Path != "" {
			times[ev.Path]++
		}
	}
	for i := range 2300 {
		if n := times[fmt.Sprint("/p", i)]; n != 1 {
			t.Fatalf("/p%d is there %d times", i, n)
		}
	}
}
