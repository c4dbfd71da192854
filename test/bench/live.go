package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// flood sends n records at a rate and waits for the end of it.
func flood(n, rate int, typ uint16, more ...string) (time.Duration, error) {
	p, err := start("send", nil, append(more, fmt.Sprint("n=", n), fmt.Sprint("rate=", rate), fmt.Sprint("type=", typ))...)
	if err != nil {
		return 0, err
	}
	line, err := p.line()
	if err != nil {
		p.kill()
		return 0, fmt.Errorf("send: %w", err)
	}
	ns, _ := strconv.ParseInt(line, 10, 64)
	_, err = p.wait()
	return time.Duration(ns), err
}

// tally is what is in a file of the daemon.
type tally struct{ access, lost int }

func count(path string) (t tally, err error) {
	f, err := os.Open(path)
	if err != nil {
		return t, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var ev struct {
			Event string
			Count int
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			return t, err
		}
		switch ev.Event {
		case ipe.KindAccess.String():
			t.access++
		case ipe.KindLost.String():
			t.lost += ev.Count
		}
	}
	return t, nil
}

// measureFlood sends as fast as it can, with a sender, a receiver and a sink
// that all want a processor.
func measureFlood(b *bench) error {
	n := b.records(1_000_000)
	p, dir, err := b.listening(fileSink)
	if err != nil {
		return err
	}
	took, err := flood(n, 0, ipe.TypeAccess)
	if err != nil {
		p.kill()
		return err
	}
	spent, err := p.stop()
	if err != nil {
		return err
	}
	got, err := count(filepath.Join(dir, "0.json"))
	if err != nil {
		return err
	}
	if got.access+got.lost != n {
		return fmt.Errorf("%d records sent, %d in the file and %d told as lost", n, got.access, got.lost)
	}
	b.add(fmt.Sprintf("%d records sent at %s, spool on disk and a file", n, rate(n, took)), fmt.Sprintf("%d lost", got.lost),
		fmt.Sprintf("CPU of the whole daemon %v for a record", spent/time.Duration(n)))
	return nil
}

// during returns what the child used while f ran.
func (p *process) during(f func() error) (usage, error) {
	before, err := p.usage()
	if err != nil {
		return usage{}, err
	}
	if err := f(); err != nil {
		return usage{}, err
	}
	after, err := p.usage()
	return usage{after.cpu - before.cpu, after.wakeups - before.wakeups}, err
}

// measureQuiet lets a daemon hear nothing, and then what is not for it.
func measureQuiet(b *bench) error {
	const perSecond, foreign = 100_000, 1300 // AUDIT_SYSCALL
	n := b.records(500_000)
	p, _, err := b.listening(fileSink)
	if err != nil {
		return err
	}
	defer p.kill()
	length := time.Duration(n) * time.Second / perSecond
	time.Sleep(time.Second) // the start has an end too
	idle, err := p.during(func() error { time.Sleep(length); return nil })
	if err != nil {
		return err
	}
	busy, err := p.during(func() error { _, err := flood(n, perSecond, foreign); return err })
	if err != nil {
		return err
	}
	say := func(u usage) string {
		return fmt.Sprintf("%v CPU, %d wake-ups", u.cpu.Round(time.Microsecond), u.wakeups)
	}
	b.add(fmt.Sprintf("%d foreign records in %v", n, length), say(busy), "no records in as long a time: "+say(idle))
	return nil
}

// atRate returns what a daemon uses while it gets that many events in a second,
// for some seconds, and how many these were.
func (b *bench) atRate(p *process, rate int) (used usage, n int, length time.Duration, err error) {
	n = b.records(5 * rate)
	length = time.Duration(n) * time.Second / time.Duration(rate)
	used, err = p.during(func() error {
		_, err := flood(n, rate, ipe.TypeAccess)
		time.Sleep(100 * time.Millisecond) // the last ones have a way to go
		return err
	})
	return used, n, length, err
}

// measureRates says what part of a processor a rate of events takes. A single
// event costs more when the daemon has to be woken for it.
func measureRates(b *bench) error {
	p, _, err := b.listening(fileSink)
	if err != nil {
		return err
	}
	defer p.kill()
	c := curve{name: "rates", x: "events a second, into a file", y: "µs of CPU for an event"}
	for _, rate := range []int{10, 100, 1000, 10_000, 100_000} {
		used, n, length, err := b.atRate(p, rate)
		if err != nil {
			return err
		}
		b.add(fmt.Sprintf("%d events a second into a file", rate), share(used, length),
			fmt.Sprintf("%v and %.1f wake-ups for an event", (used.cpu/time.Duration(n)).Round(10*time.Nanosecond), float64(used.wakeups)/float64(n)))
		c.at = append(c.at, point{float64(rate), float64(used.cpu.Microseconds()) / float64(n)})
	}
	b.curves = append(b.curves, c)
	return nil
}

// share says what part of a processor was used.
func share(used usage, length time.Duration) string {
	return fmt.Sprintf("%.2f %% of a CPU", 100*used.cpu.Seconds()/length.Seconds())
}

// measureGrowth says what part of a processor it takes to deliver to several
// sinks at once.
func measureGrowth(b *bench) error {
	const rate = 100_000
	var first, most time.Duration // CPU for an event, with one and with the most sinks
	counts := []int{0, 1, 2, 4, 8}
	c := curve{name: "sinks", x: "files", y: "% of a CPU, at 100000 events a second"}
	var beside string
	for _, count := range counts {
		p, _, err := b.listening(slices.Repeat([]string{fileSink}, count)...)
		if err != nil {
			return err
		}
		used, n, length, err := b.atRate(p, rate)
		p.kill()
		if err != nil {
			return err
		}
		most = used.cpu / time.Duration(n)
		if count == 1 {
			first = most
		}
		if count > 0 {
			c.at = append(c.at, point{float64(count), 100 * used.cpu.Seconds() / length.Seconds()})
		}
		beside += fmt.Sprintf("; %d: %s", count, share(used, length))
	}
	b.add(fmt.Sprintf("each further file at %d events a second, CPU for an event", rate),
		((most - first) / time.Duration(counts[len(counts)-1]-1)).String(), "files"+strings.TrimPrefix(beside, ";"))
	b.curves = append(b.curves, c)
	return nil
}

func measureMemory(b *bench) error {
	const parts = 4
	n := b.records(3_600_000) / parts // an hour of 1000 a second
	p, _, err := b.listening(fileSink, fileSink+", format: text", fileSink+", format: raw",
		"type: exec, command: [/bin/cat], mode: stream", "type: exec, command: [/bin/sleep, infinity], mode: stream")
	if err != nil {
		return err
	}
	defer p.kill()
	mib := func(name string) (string, error) {
		kib, err := p.status(name)
		return fmt.Sprintf("%.1f", float64(kib)/1024), err
	}
	time.Sleep(time.Second)
	idle, err := mib("VmRSS")
	if err != nil {
		return err
	}
	var grown string
	for range parts {
		if _, err := flood(n, 0, ipe.TypeAccess); err != nil {
			return err
		}
		after, err := mib("VmRSS")
		if err != nil {
			return err
		}
		grown += after + " "
	}
	most, err := mib("VmHWM")
	if err != nil {
		return err
	}
	b.add("resident memory, idle", idle+" MiB", "five sinks, one of them stuck")
	b.add(fmt.Sprintf("resident memory, at most, in a flood of %d records", parts*n), most+" MiB", "after each quarter: "+grown+"MiB")
	return nil
}

func measureStart(b *bench) error {
	config, _, err := b.configure(fileSink)
	if err != nil {
		return err
	}
	least, err := leastOf(b.rounds, func() (time.Duration, error) {
		begin := time.Now()
		p, err := b.startDaemon(nil, config)
		if err != nil {
			return 0, err
		}
		took := time.Since(begin)
		_, err = p.stop()
		return took, err
	})
	if err != nil {
		return err
	}
	b.add("process started to listening, spool on disk", least[0].Round(100*time.Microsecond).String(), "")
	return nil
}
