package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/elastic/go-libaudit/v2/auparse"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// records writes n records as a capture and as lines of audit.log.
func (b *bench) capture(n int) (capture, log string, err error) {
	var datagrams, lines bytes.Buffer
	var record []byte
	for i := range n {
		record = text(record[:0], i, "/tmp/true")
		var head [32]byte
		le := binary.LittleEndian
		le.PutUint64(head[0:], uint64(i)*1000)
		le.PutUint32(head[12:], uint32(16+len(record)))
		le.PutUint32(head[16:], uint32(16+len(record)))
		le.PutUint16(head[20:], ipe.TypeAccess)
		datagrams.Write(head[:])
		datagrams.Write(record)
		fmt.Fprintf(&lines, "type=UNKNOWN[%d] msg=%s\n", ipe.TypeAccess, record)
	}
	capture, log = filepath.Join(b.dir, "records.nlcap"), filepath.Join(b.dir, "audit.log")
	return capture, log, errors.Join(os.WriteFile(capture, datagrams.Bytes(), 0o600), os.WriteFile(log, lines.Bytes(), 0o600))
}

// measurePipeline brings a capture through the spool on disk into a file, and
// lets others do what they can with the same records.
func measurePipeline(b *bench) error {
	n := b.records(300_000)
	capture, log, err := b.capture(n)
	if err != nil {
		return err
	}
	runs := []func() (time.Duration, error){
		func() (time.Duration, error) { return b.throughDaemon(capture, n) },
		func() (time.Duration, error) { return b.throughLibaudit(log, n) },
	}
	laurel, missing := exec.LookPath("laurel")
	if missing == nil {
		runs = append(runs, func() (time.Duration, error) { return b.throughLaurel(laurel, log, n) })
	}
	least, err := leastOf(b.rounds, runs...)
	if err != nil {
		return err
	}
	beside := fmt.Sprintf("go-libaudit and encoding/json %s: %s", rate(n, least[1]), ratio(least[1], least[0]))
	if missing == nil {
		beside += fmt.Sprintf("; laurel %s: %s", rate(n, least[2]), ratio(least[2], least[0]))
	} else {
		beside += "; laurel is not installed"
	}
	b.add(fmt.Sprintf("capture of %d records to a JSON file, through the spool on disk", n), rate(n, least[0]), beside)
	return nil
}

// rate says how many in a second.
func rate(n int, d time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(n)/d.Seconds())
}

func (b *bench) throughDaemon(capture string, n int) (time.Duration, error) {
	config, dir, err := b.configure(fileSink)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	p, err := b.startDaemon(nil, config, "input="+capture)
	if err != nil {
		return 0, err
	}
	if _, err := p.wait(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, countLines(filepath.Join(dir, "0.json"), n)
}

func (b *bench) throughLaurel(program, log string, n int) (time.Duration, error) {
	dir := filepath.Join(b.dir, "laurel")
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return 0, err
	}
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("directory = %q\nuser = \"root\"\n[auditlog]\nfile = \"out.json\"\nsize = 5000000000\ngenerations = 2\n", dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	f, err := os.Open(log)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	cmd := exec.Command(program, "-c", config)
	cmd.Stdin = f
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	took := time.Since(begin)
	return took, countLines(filepath.Join(dir, "out.json"), n)
}

func (b *bench) throughLibaudit(log string, n int) (time.Duration, error) {
	out := filepath.Join(b.dir, "libaudit.json")
	begin := time.Now()
	p, err := start("libaudit", nil, "log="+log, "out="+out)
	if err != nil {
		return 0, err
	}
	if _, err := p.wait(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	return took, countLines(out, n)
}

// runLibaudit is the usual tool: lines of audit.log in, JSON out.
func runLibaudit() error {
	say("ready")
	in, err := os.Open(param("log"))
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := os.Create(param("out"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 64<<10)
	out := json.NewEncoder(w)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		msg, err := auparse.ParseLogLine(lines.Text())
		if err != nil {
			return err
		}
		if err := out.Encode(msg.ToMapStr()); err != nil {
			return err
		}
	}
	return w.Flush()
}

// countLines fails where the file has not n lines: whoever is fast because
// he loses some must not win.
func countLines(path string, n int) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if got := bytes.Count(text, []byte("\n")); got != n {
		return fmt.Errorf("%s has %d lines, not %d", path, got, n)
	}
	return nil
}
