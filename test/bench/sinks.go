package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
)

// configure writes a configuration with these sinks, each a line of YAML, and
// returns its name and the folder for everything it names. The folder is empty.
func (b *bench) configure(sinks ...string) (file, dir string, err error) {
	dir = filepath.Join(b.dir, "daemon")
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", "", err
	}
	text := "spool: {dir: DIR/state, size: 1GiB}\napi: {path: DIR/api.sock}\nsinks:\n"
	for i, sink := range sinks {
		text += fmt.Sprintf("  - {name: sink-%d, %s}\n", i, strings.ReplaceAll(sink, "NUMBER", fmt.Sprint(i)))
	}
	if len(sinks) == 0 {
		text = strings.ReplaceAll(text, "sinks:", "sinks: []")
	}
	file = filepath.Join(dir, "ipe-auditd.yaml")
	return file, dir, os.WriteFile(file, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600)
}

const fileSink = "type: file, path: DIR/NUMBER.json"

// startDaemon starts a daemon.
func (b *bench) startDaemon(socket *os.File, config string, params ...string) (*process, error) {
	params = append(params, "config="+config, "profile="+b.profile)
	if socket != nil {
		params = append(params, "socket=inherited")
	}
	return start("daemon", socket, params...)
}

// listening starts a daemon with a socket of its own and these sinks. It returns
// the folder for everything they name too.
func (b *bench) listening(sinks ...string) (p *process, dir string, err error) {
	config, dir, err := b.configure(sinks...)
	if err != nil {
		return nil, "", err
	}
	p, err = b.startDaemon(nil, config)
	return p, dir, err
}

// workedOff returns the CPU time that a daemon with the sinks, and with clients
// of its feed, needs for a backlog of n records.
func (b *bench) workedOff(n, clients int, sinks ...string) (time.Duration, error) {
	config, dir, err := b.configure(sinks...)
	if err != nil {
		return 0, err
	}
	f, err := backlog(n)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	p, err := b.startDaemon(f, config)
	if err != nil {
		return 0, err
	}
	client := api.NewClient(filepath.Join(dir, "api.sock"))
	read := make(chan error, clients)
	for range clients {
		go func() { read <- readEvents(client, n) }()
	}
	if err := errors.Join(awaitDelivered(client, uint64(n)), collect(read)); err != nil {
		p.kill()
		return 0, err
	}
	return p.stop()
}

// collect returns what as many goroutines say as the channel has room for.
func collect(errs chan error) error {
	var all error
	for range cap(errs) {
		all = errors.Join(all, <-errs)
	}
	return all
}

// awaitDelivered waits until the daemon has received n records and every sink
// has delivered as many.
func awaitDelivered(client *api.Client, n uint64) error {
	for range time.Tick(20 * time.Millisecond) {
		_, st, err := client.Status(context.Background())
		if err != nil {
			return err
		}
		done := st.Received >= n
		for _, sink := range st.Sinks {
			done = done && sink.Delivered >= n
		}
		if done {
			return nil
		}
	}
	return nil
}

// readEvents reads n events from the feed.
func readEvents(client *api.Client, n int) error {
	r, err := client.Events(context.Background(), url.Values{"follow": {"true"}, "since": {"1h"}, "events": {"access"}})
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, 64<<10)
	for lines := 0; lines < n; {
		got, err := r.Read(buf)
		lines += strings.Count(string(buf[:got]), "\n")
		if err != nil && !(errors.Is(err, io.EOF) && lines >= n) {
			return fmt.Errorf("feed: %d of %d events: %w", lines, n, err)
		}
	}
	return nil
}

func measureSinks(b *bench) error {
	n := b.records(150_000)
	var sinks []string
	for range 4 {
		sinks = append(sinks, fileSink)
	}
	base := func(n, clients int, sinks ...string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return b.workedOff(n, clients, sinks...) }
	}
	of := func(role string) func() (time.Duration, error) {
		return func() (time.Duration, error) { return worked(role, n) }
	}
	least, err := leastOf(b.rounds, base(0, 0), base(n, 0), base(n, 0, sinks[:1]...), base(n, 0, sinks...), base(n, 4), of("floor"))
	if err != nil {
		return err
	}
	each := func(d, less time.Duration, div int) time.Duration { return max(d-less, 0) / time.Duration(n*div) }
	idle, spool, one, four, fed, bare := least[0], least[1], least[2], least[3], least[4], least[5]
	b.add("a daemon without sinks, CPU of all threads for a record", each(spool, idle, 1).String(),
		fmt.Sprintf("bare recvmmsg %v: %s", bare, ratio(each(spool, idle, 1), bare)))
	b.add("one sink of type file, JSON, CPU for an event", each(one, spool, 1).String(), "")
	b.add("each further file, CPU for an event", each(four, one, 3).String(), "")
	b.add("each client of the feed, CPU of the daemon for an event", each(fed, spool, 4).String(), "")
	return nil
}
