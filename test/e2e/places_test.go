package e2e_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/api"
)

// delivery is an event as a receiver has it.
type delivery struct {
	seq  uint64 // 0 where the receiver is not told
	text string // in the form of the receiver; empty for started and stopped
}

// A form is how a receiver has events, without what tells one run from another.
type form int

const (
	formJSON    form = iota
	formJSONRaw      // with the record
	formText
	formMessage // text without time
	formRaw     // the record alone
	forms
)

// place is a receiver.
type place struct {
	name string
	form form
	some bool // takes not every event, but those that forEach selects
	read func(f *farm) []delivery
}

// places are the receivers of the configuration.
func places() []place {
	return []place{
		{name: "console", form: formJSONRaw, read: func(f *farm) []delivery { return jsonLines(f, lines(f.read("console"))) }},
		{name: "json", form: formJSON, read: func(f *farm) []delivery { return jsonLines(f, lines(f.read("json"))) }},
		{name: "text", form: formText, read: func(f *farm) []delivery { return plain(lines(f.read("text"))) }},
		{name: "full", form: formText, read: readDisk},
		{name: "raw", form: formRaw, read: readRotated},
		{name: "journal", form: formMessage, read: readJournal},
		{name: "siem", form: formMessage, read: func(f *farm) []delivery { return readSyslog(f, "siem") }},
		{name: "local", form: formMessage, read: func(f *farm) []delivery { return readSyslog(f, "local") }},
		{name: "stream", form: formJSON, read: func(f *farm) []delivery { return jsonLines(f, lines(f.read("stream"))) }},
		{name: "each", form: formJSON, some: true, read: readEach},
	}
}

// forEach reports whether the match of the sink "each" selects an event.
func forEach(line string) bool {
	return !strings.Contains(line, `"event":"access"`) ||
		strings.Contains(line, `"ipe_hook":"BPRM_CHECK"`) && strings.Contains(line, `"path":"/tmp/`)
}

func plain(texts []string) []delivery {
	var all []delivery
	for _, text := range texts {
		all = append(all, delivery{text: text})
	}
	return all
}

var (
	identity = regexp.MustCompile(`^\{"spool":"[0-9a-f]{16}","seq":([0-9]+),`)
	// Captures name no boot, and only sinks with a match say prev_seq.
	origin = regexp.MustCompile(`,"host":"[^"]*"(,"boot_id":"[-0-9a-f]{36}")?(,"prev_seq":[0-9]+)?\}$`)
	policy = regexp.MustCompile(`,"active_policy_(name|version|digest)":"[^"]*"`) // decode does not say it
)

// jsonLines reads events in JSON. A daemon that was killed may have left a torn
// line in a receiver that only appends; what counts is behind it.
func jsonLines(f *farm, texts []string) []delivery {
	f.t.Helper()
	var all []delivery
	torn, booted := 0, 0
	for _, text := range texts {
		if !json.Valid([]byte(text)) {
			if torn++; torn > f.kills {
				f.t.Fatalf("torn line %q", text)
			}
			if text = text[max(0, strings.LastIndex(text, `{"spool":"`)):]; !json.Valid([]byte(text)) {
				continue
			}
		}
		m := identity.FindStringSubmatch(text)
		if m == nil || !origin.MatchString(text) {
			f.t.Fatalf("no identity or origin in %s", text)
		}
		seq, err := strconv.ParseUint(m[1], 10, 64)
		check(f.t, err)
		d := delivery{seq: seq, text: "{" + policy.ReplaceAllString(origin.ReplaceAllString(text[len(m[0]):], "}"), "")}
		if strings.Contains(text, `"event":"started"`) || strings.Contains(text, `"event":"stopped"`) {
			d.text = ""
		}
		all = append(all, d)
		if strings.Contains(text, `,"boot_id":"`) {
			booted++
		}
	}
	if booted != 0 && booted != len(all) {
		f.t.Fatalf("%d of %d events say the boot", booted, len(all))
	}
	return all
}

func readDisk(f *farm) []delivery {
	return plain(lines(f.within(exec.Command("sh", "-c", `test ! -e "$0" || cat "$0"`, f.path("disk/text")))))
}

// readRotated reads the file "raw" and all that were put aside, oldest first.
func readRotated(f *farm) []delivery {
	aside, err := filepath.Glob(f.path("raw.*"))
	check(f.t, err)
	slices.Sort(aside)
	var text []byte
	for _, name := range aside {
		b, err := os.ReadFile(name)
		check(f.t, err)
		switch {
		case strings.HasSuffix(name, ".tmp"):
			continue // what it is made of is still there
		case strings.HasSuffix(name, ".gz"):
			if _, err := os.Stat(strings.TrimSuffix(name, ".gz")); err == nil {
				continue
			}
			r, err := gzip.NewReader(bytes.NewReader(b))
			check(f.t, err)
			b, err = io.ReadAll(r)
			check(f.t, err)
		}
		text = append(text, b...)
	}
	var all []delivery
	for _, line := range lines(append(text, f.read("raw")...)) {
		_, record, ok := strings.Cut(line, " msg=")
		if !ok {
			f.t.Fatalf("no record: %q", line)
		}
		all = append(all, delivery{text: record})
	}
	return all
}

func readJournal(f *farm) []delivery {
	var all []delivery
	for _, e := range f.journal.Entries(f.t, "SYSLOG_IDENTIFIER=ipe-auditd") {
		seq, err := strconv.ParseUint(e.Get("IPE_SEQ"), 10, 64)
		check(f.t, err)
		d := delivery{seq: seq, text: e.Get("MESSAGE")}
		if event := e.Get("IPE_EVENT"); event == "started" || event == "stopped" {
			d.text = ""
		}
		all = append(all, d)
	}
	return all
}

func readSyslog(f *farm, name string) []delivery {
	var all []delivery
	for _, text := range lines(f.read(name + "/out")) {
		var line struct {
			Facility string
			Parsed   map[string]struct{ Seq, Event string }
			Msg      string
		}
		// Without structured data the template has nothing there.
		check(f.t, json.Unmarshal([]byte(strings.Replace(text, `"parsed":,`, "", 1)), &line))
		if want := map[string]string{"siem": "local3"}[name]; line.Facility != cmp.Or(want, "authpriv") {
			f.t.Fatalf("%s: facility %s in %s", name, line.Facility, text)
		}
		d := delivery{text: strings.TrimPrefix(line.Msg, " ")}
		if sd, ok := line.Parsed["e2e@32473"]; ok {
			seq, err := strconv.ParseUint(sd.Seq, 10, 64)
			check(f.t, err)
			d.seq = seq
			if sd.Event == "started" || sd.Event == "stopped" {
				d.text = ""
			}
		}
		all = append(all, d)
	}
	return all
}

func readEach(f *farm) []delivery {
	var texts []string
	for _, line := range lines(f.read("each")) {
		coalesced, text, _ := strings.Cut(line, " ")
		if coalesced != "0" {
			f.t.Fatalf("%s events had no run of their own, within the limit", coalesced)
		}
		texts = append(texts, text)
	}
	all := jsonLines(f, texts)
	for i := range all {
		all[i].seq = 0 // others are in between
	}
	return all
}

// feed is a client of the api that goes on where it was.
type feed struct {
	farm *farm
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	lines []string
	hang  context.CancelFunc // ends the connection there is
}

func newFeed(f *farm) *feed {
	ctx, stop := context.WithCancel(context.Background())
	c := &feed{farm: f, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			c.follow(ctx)
			time.Sleep(10 * time.Millisecond) // until the next daemon listens
		}
	}()
	f.t.Cleanup(func() { stop(); <-c.done })
	return c
}

// follow reads until the stream ends.
func (c *feed) follow(ctx context.Context) {
	ctx, hang := context.WithCancel(ctx)
	defer hang()
	query := url.Values{"follow": {"true"}}
	c.mu.Lock()
	c.hang = hang
	if n := len(c.lines); n > 0 {
		var last struct {
			Spool string
			Seq   uint64
		}
		_ = json.Unmarshal([]byte(c.lines[n-1]), &last)
		query.Set("after", fmt.Sprintf("%s:%d", last.Spool, last.Seq))
	}
	c.mu.Unlock()
	body, err := api.NewClient(c.farm.path("api.sock")).Events(ctx, query)
	if err != nil {
		return
	}
	defer body.Close()
	for r := bufio.NewReader(body); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		c.mu.Lock()
		c.lines = append(c.lines, line[:len(line)-1])
		c.mu.Unlock()
	}
}

// reconnect ends the connection; another one begins.
func (c *feed) reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hang()
}

func (c *feed) place() place {
	return place{name: "feed", form: formJSON, read: func(f *farm) []delivery {
		c.mu.Lock()
		defer c.mu.Unlock()
		return jsonLines(f, c.lines)
	}}
}

// expectation is a list of events in every form.
type expectation [forms][]string

// stampID is what decode ends a line of text with; sinks that have no use for it do
// not.
var stampID = regexp.MustCompile(` [0-9]+\.[0-9]+:[0-9]+$`)

// padding is what aligns the lines of the text form.
var padding = regexp.MustCompile(`^(ALLOWED|DENIED) +`)

// expect asks the program what it makes of records in a file.
func expect(t *testing.T, program, file string) (e expectation) {
	t.Helper()
	decode := func(args ...string) []string {
		cmd := exec.Command(program, append(append([]string{"decode"}, args...), file)...)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		return lines(out)
	}
	e[formJSON], e[formJSONRaw], e[formText] = decode(), decode("--raw"), decode("--format", "text")
	for i, text := range e[formText] {
		text = stampID.ReplaceAllString(text, "")
		e[formText][i] = text
		_, message, _ := strings.Cut(text, " ")
		message = padding.ReplaceAllString(message, "$1 ")
		e[formMessage] = append(e[formMessage], message)
	}
	for _, text := range e[formJSONRaw] {
		var ev struct{ Raw string }
		check(t, json.Unmarshal([]byte(text), &ev))
		e[formRaw] = append(e[formRaw], ev.Raw)
	}
	return e
}

// at returns what a place should have.
func (e *expectation) at(p place) []string {
	if !p.some {
		return e[p.form]
	}
	var some []string
	for i, text := range e[p.form] {
		if forEach(e[formJSON][i]) {
			some = append(some, text)
		}
	}
	return some
}

// hungFeed returns what ends a client that asks for events and takes none.
func hungFeed(f *farm) (end func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	body, err := api.NewClient(f.path("api.sock")).Events(ctx, url.Values{"follow": {"true"}})
	if err != nil {
		cancel()
		f.t.Fatal(err)
	}
	end = func() { cancel(); body.Close() }
	f.t.Cleanup(end)
	return end
}
