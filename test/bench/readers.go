package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// What readers can do to the receiver: a user who may read the feed asks for as
// much as the daemon grants, again and again, while records come at a steady
// rate; and many sinks catch up. The spool holds what takes 2.5 s to come, so
// that whoever reads all of it has always something to do.
const (
	readersRate    = 60_000 // records a second
	readersSeconds = 10
	readersKept    = 150_000
	readersSpool   = "32MiB" // for that many
)

// attacks are the requests that a user makes at once, in loops. Most are for
// events that do not occur: so the daemon works, and the client has nothing to
// do.
var attacks = []struct {
	name    string
	streams int
	page    string // empty: no request at all
}{
	{"62 requests in loops, for events that do not occur", 62, "/events?paths=/nowhere/**"},
	{"62 requests in loops, for everything", 62, "/events"},
	{"62 requests in loops, for the last 10000 events of a kind that does not occur", 62, "/events?last=10000&verdicts=allowed"},
	{"24 requests in loops, with 180 globs each", 24, "/events?paths=" + globs(180)},
	{"62 requests in loops, with 32 globs each", 62, "/events?paths=" + globs(32)},
	{"128 requests in loops, for the metrics", 128, "/metrics"},
	{"128 connections in loops, without a request", 128, ""},
}

// globs returns n globs in a list; none matches, each only at the end of a path.
func globs(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("**/*%c%c*e", 'a'+i%26, 'a'+i/26)
	}
	return strings.Join(list, ",")
}

func measureReaders(b *bench) error {
	for _, a := range attacks {
		if err := b.attacked(a.name, a.streams, a.page); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return b.catchingUp(20)
}

// attacked says what a daemon loses while somebody attacks it.
func (b *bench) attacked(name string, streams int, page string) error {
	config, dir, err := b.configure()
	if err != nil {
		return err
	}
	if err := smallSpool(config); err != nil {
		return err
	}
	p, err := b.startDaemon(nil, config)
	if err != nil {
		return err
	}
	defer p.kill()
	if _, err := flood(b.records(readersKept), readersRate, ipe.TypeAccess); err != nil {
		return err
	}
	attacker, err := start("attack", nil, "socket="+filepath.Join(dir, "api.sock"), fmt.Sprint("n=", streams), "page="+page,
		fmt.Sprint("ms=", b.records(readersSeconds*readersRate)*1000/readersRate))
	if err != nil {
		return err
	}
	defer attacker.kill()
	return b.flooded(name, dir, func() string {
		answers, err := attacker.line()
		if err != nil {
			return err.Error()
		}
		return answers
	})
}

// catchingUp says what a daemon loses while that many sinks catch up.
func (b *bench) catchingUp(count int) error {
	// The first run fills the spool, the second one finds it full.
	config, dir, err := b.configure()
	if err != nil {
		return err
	}
	if err := smallSpool(config); err != nil {
		return err
	}
	p, err := b.startDaemon(nil, config)
	if err != nil {
		return err
	}
	if _, err := flood(b.records(readersKept), readersRate, ipe.TypeAccess); err != nil {
		p.kill()
		return err
	}
	if _, err := p.stop(); err != nil {
		return err
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	sinks := "sinks:\n"
	for i := range count {
		sinks += fmt.Sprintf("  - {name: sink-%d, type: file, from: oldest, path: %s/%d.json, rotate: {size: 8MiB, keep: 1, compress: false}}\n", i, dir, i)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "sinks: []\n", sinks, 1)), 0o600); err != nil {
		return err
	}
	if p, err = b.startDaemon(nil, config); err != nil {
		return err
	}
	defer p.kill()
	return b.flooded(fmt.Sprintf("%d files that catch up", count), dir, func() string { return "" })
}

// smallSpool bounds the spool of a configuration.
func smallSpool(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	return os.WriteFile(config, []byte(strings.Replace(string(text), "1GiB", readersSpool, 1)), 0o600)
}

// flooded sends records at the steady rate to a daemon that is busy, and adds a
// row with what that lost.
func (b *bench) flooded(name, dir string, beside func() string) error {
	n := b.records(readersSeconds * readersRate)
	done := make(chan struct{})
	most := make(chan int)
	go func() { most <- mostQueued(done) }()
	took, err := flood(n, readersRate, ipe.TypeAccess, "nice=-10")
	close(done)
	queued := <-most
	if err != nil {
		return err
	}
	said := beside()
	client := api.NewClient(filepath.Join(dir, "api.sock"))
	lost, err := lostAtSocket(client, n)
	if err != nil {
		return err
	}
	if said != "" {
		said = "; " + said
	}
	b.add(fmt.Sprintf("%s: %d records at %s", name, n, rate(n, took)), fmt.Sprintf("%d lost", lost),
		fmt.Sprintf("at most %.1f MiB queued at the socket%s", float64(queued)/(1<<20), said))
	return nil
}

// lostAtSocket returns how many records the daemon says that it lost at the
// socket, once it has received all others of n. While it is attacked, others may
// have all connections.
func lostAtSocket(client *api.Client, n int) (lost int, err error) {
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(50 * time.Millisecond) {
		var st *api.Status
		if _, st, err = client.Status(context.Background()); err != nil {
			continue
		}
		for _, l := range st.Lost {
			if l.Stage == "socket" {
				lost = int(l.Count)
			}
		}
		if int(st.Received)+lost >= n {
			return lost, nil
		}
		err = fmt.Errorf("%d records sent, %d received and %d told as lost", n, st.Received, lost)
	}
	return 0, err
}

// mostQueued looks at the netlink sockets of this namespace until done, and
// returns the most bytes that one had in its queue, as the kernel counts them.
func mostQueued(done <-chan struct{}) (most int) {
	for {
		select {
		case <-done:
			return most
		case <-time.After(2 * time.Millisecond):
		}
		text, _ := os.ReadFile("/proc/net/netlink")
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) > 4 {
				n, _ := strconv.Atoi(fields[4])
				most = max(most, n)
			}
		}
	}
}

// attack makes n requests for a page at once, in loops, until its parent has
// enough. It says how many answers there were within so many milliseconds.
func attack() error {
	var whole, refused, bytes atomic.Int64
	request := "GET " + param("page") + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	one := func(buf []byte) error {
		c, err := net.Dial("unix", param("socket"))
		if err != nil {
			return err
		}
		defer c.Close()
		if param("page") == "" {
			whole.Add(1)
			return nil
		}
		if _, err := io.WriteString(c, request); err != nil {
			return err
		}
		head := true
		for {
			n, err := c.Read(buf)
			bytes.Add(int64(n))
			if head && n > 12 {
				head = false
				if string(buf[9:12]) != "200" {
					refused.Add(1)
					return nil
				}
			}
			if err != nil {
				if errors.Is(err, io.EOF) {
					whole.Add(1)
				}
				return nil
			}
		}
	}
	for range number("n") {
		go func() {
			for buf := make([]byte, 64<<10); ; {
				_ = one(buf)
			}
		}()
	}
	say("ready")
	time.Sleep(time.Duration(number("ms")) * time.Millisecond)
	say("%d answers, %d refusals, %d MB", whole.Load(), refused.Load(), bytes.Load()/1e6)
	select {}
}
