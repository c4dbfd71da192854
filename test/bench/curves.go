package main

import (
	"bufio"
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
	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/report"
)

// measureClients says what part of a processor it takes to serve clients of the
// feed that read everything.
func measureClients(b *bench) error {
	const rate = 20_000
	c := curve{name: "clients", x: "clients of the feed", y: "% of a CPU, at 20000 events a second"}
	var beside []string
	for _, clients := range []int{1, 2, 4, 8, 16, 32} {
		used, length, err := b.withClients(clients, rate)
		if err != nil {
			return err
		}
		c.at = append(c.at, point{float64(clients), 100 * used.cpu.Seconds() / length.Seconds()})
		beside = append(beside, fmt.Sprintf("%d: %s", clients, share(used, length)))
	}
	first, last := c.at[0], c.at[len(c.at)-1]
	each := time.Duration((last.y - first.y) / 100 / (last.x - first.x) / rate * 1e9)
	b.add(fmt.Sprintf("each further client at %d events a second, CPU for an event", rate), each.String(), "clients "+strings.Join(beside, "; "))
	b.curves = append(b.curves, c)
	return nil
}

// withClients returns what a daemon uses at a rate while clients follow.
func (b *bench) withClients(clients, rate int) (usage, time.Duration, error) {
	p, dir, err := b.listening()
	if err != nil {
		return usage{}, 0, err
	}
	defer p.kill()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, clients)
	for range clients {
		r, err := api.NewClient(filepath.Join(dir, "api.sock")).Events(ctx, url.Values{"follow": {"true"}})
		if err != nil {
			cancel()
			return usage{}, 0, err
		}
		go func() {
			_, err := io.Copy(io.Discard, r)
			r.Close()
			if errors.Is(err, context.Canceled) {
				err = nil
			}
			done <- err
		}()
	}
	used, _, length, err := b.atRate(p, rate)
	cancel()
	return used, length, errors.Join(err, collect(done))
}

// measureHosts sums up the events of many hosts, interleaved as a log server
// has them.
func measureHosts(b *bench) error {
	const events = 20
	c := curve{name: "hosts", x: "hosts, with 20 events each", y: "seconds of CPU for report"}
	var beside []string
	for _, hosts := range []int{100, 1000, 10_000, 100_000} {
		hosts = b.records(hosts)
		file := filepath.Join(b.dir, "hosts.json")
		if err := writeHosts(file, hosts, events); err != nil {
			return err
		}
		p, err := start("report", nil, "file="+file)
		if err != nil {
			return err
		}
		line, err := p.line()
		if err != nil {
			p.kill()
			return fmt.Errorf("report: %w", err)
		}
		var seen, peak int
		if _, err := fmt.Sscanf(line, "%d %d", &seen, &peak); err != nil || seen != hosts*events {
			p.kill()
			return fmt.Errorf("report of %d events says %q: %v", hosts*events, line, err)
		}
		used, err := p.wait()
		if err != nil {
			return err
		}
		c.at = append(c.at, point{float64(hosts), used.Seconds()})
		beside = append(beside, fmt.Sprintf("%d: %v, %.0f MiB", hosts, used.Round(10*time.Millisecond), float64(peak)/1024))
	}
	last := c.at[len(c.at)-1]
	b.add("report over the events of many hosts, CPU for an event", time.Duration(last.y/last.x/events*1e9).Round(time.Nanosecond).String(), "hosts "+strings.Join(beside, "; "))
	b.curves = append(b.curves, c)
	return nil
}

// writeHosts writes events of hosts in turns, as sinks write them.
func writeHosts(file string, hosts, events int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range events {
		at := time.Date(2026, 11, 23, 6, i, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000Z")
		for h := range hosts {
			fmt.Fprintf(w, `{"spool":"%016x","seq":%d,"time":"%s","serial":%d,"type":1420,"event":"access","dialect":"mainline","verdict":"denied","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"bash","path":"/opt/tool-%d","dev":"vda1","rule":"DEFAULT op=EXECUTE action=DENY","enforcing":true,"pid":%d,"ino":%d,"rule_kind":"op_default","action":"DENY","host":"host-%06d","boot_id":"%032x"}`+"\n",
				h+1, i+1, at, 100+i, (h+i)%50, 1000+h, 7+(h+i)%50, h, h+1)
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// sumUp is the role of a process that reports on a file.
func sumUp() error {
	say("ready")
	h, err := eventsource.Open(context.Background(), eventsource.Options{Names: []string{param("file")}})
	if err != nil {
		return err
	}
	defer h.Close()
	r := report.Report{Origin: h.Origin(), Several: len(h.Hosts()) > 1}
	n := 0
	for {
		ev, err := h.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		n++
		r.Add(ev)
	}
	_ = r.AppendJSON(nil)
	peak, err := statusOf("/proc/self/status", "VmHWM")
	say("%d %d", n, peak)
	return err
}
