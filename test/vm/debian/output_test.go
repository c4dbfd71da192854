package debian_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// output is a place where events arrive.
type output struct {
	name string

	// lines is a command that prints a line for each event about the file %[1]s.
	lines string

	// numbered says that a line has the event's seq.
	numbered bool
}

// everywhere are the outputs that need no network.
var everywhere = []output{
	{"file", `grep -hF '"path":"%[1]s"' /var/log/ipe-auditd/events.json*`, true},
	{"exec", `grep -hF '"path":"%[1]s"' /var/log/ipe-auditd/exec-stream.json*`, true},
	{"journal", `journalctl --quiet --output=json --output-fields=IPE_SEQ _SYSTEMD_UNIT=ipe-auditd.service IPE_PATH=%[1]s`, true},
	{"feed", `curl --silent --show-error --unix-socket /run/ipe-auditd/api.sock 'http://localhost/events?paths=%[1]s'`, true},
	{"/dev/log", `grep -F ' ipe-auditd[' /var/log/auth.log | grep -F ' %[1]s '`, false},
}

// network are outputs of rsyslog that need one.
var network = []output{
	{"tcp", `grep -F ' path="%[1]s"' /var/log/received-tcp`, true},
	{"udp", `grep -F ' path="%[1]s"' /var/log/received-udp`, true},
}

// seqOf finds the seq of an event in JSON, in the journal and in structured
// data of syslog.
var seqOf = regexp.MustCompile(`"seq":([0-9]+),|"IPE_SEQ":"([0-9]+)"| seq="([0-9]+)"`)

// times says how often an event may be in an output.
type times bool

const (
	once        times = true
	atLeastOnce times = false // the daemon was killed
)

// arrive waits until n events about the file are in every output, and checks
// that all outputs have the same ones.
func (g *guest) arrive(t *testing.T, file string, n int, how times, outputs ...output) {
	t.Helper()
	var first []uint64
	for _, o := range outputs {
		text := g.until(t, fmt.Sprintf("%d events about %s in %s", n, file, o.name), fmt.Sprintf(o.lines, file), func(text string) bool {
			return len(o.events(t, text)) >= n
		})
		events := o.events(t, text)
		lines := strings.Count(text, "\n")
		switch {
		case !o.numbered && how == atLeastOnce:
			continue // which ones are twice cannot be seen
		case len(events) != n:
			t.Errorf("%d events about %s in %s, want %d", len(events), file, o.name, n)
		case how == once && lines != n:
			t.Errorf("%d lines about %s in %s, want %d", lines, file, o.name, n)
		}
		if !o.numbered {
			continue
		}
		seqs := slices.Sorted(maps.Keys(events))
		if first == nil {
			first = seqs
		}
		if !slices.Equal(seqs, first) {
			t.Errorf("%s has other events about %s than %s", o.name, file, outputs[0].name)
		}
	}
}

// events returns the seq of every event in the lines, or where they have none,
// the number of the line.
func (o *output) events(t *testing.T, text string) map[uint64]bool {
	t.Helper()
	set := map[uint64]bool{}
	for line := range strings.Lines(text) {
		if !o.numbered {
			set[uint64(len(set))] = true
			continue
		}
		set[seq(t, line)] = true
	}
	return set
}

func seq(t *testing.T, line string) uint64 {
	t.Helper()
	m := seqOf.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no seq in %q", line)
	}
	n, err := strconv.ParseUint(m[1]+m[2]+m[3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// until runs a command in the guest again and again until what it prints is
// good, and returns that.
func (g *guest) until(t *testing.T, what, command string, good func(string) bool) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		text, stderr, _ := g.try(t, command)
		if good(text) {
			return text
		}
		if time.Now().After(end) {
			t.Fatalf("no %s; %s printed last:\n%.4000s%s", what, command, text, stderr)
		}
	}
}

// gapless checks that the file has every event since the first one: that the
// numbers are of one spool and none is missing.
func gapless(t *testing.T, g *guest) {
	text := g.sh(t, `cat /var/log/ipe-auditd/events.json* | sed -E 's/^\{"spool":"([0-9a-f]+)",("seq":[0-9]+,).*/\1 \2/'`)
	spools, seqs := map[string]bool{}, map[uint64]bool{}
	for line := range strings.Lines(text) {
		spool, _, _ := strings.Cut(line, " ")
		spools[spool], seqs[seq(t, line)] = true, true
	}
	if len(spools) != 1 {
		t.Errorf("events of the spools %v", slices.Collect(maps.Keys(spools)))
	}
	for i, n := range slices.Sorted(maps.Keys(seqs)) {
		if uint64(i)+1 != n {
			t.Fatalf("event %d is missing; the next one is %d", i+1, n)
		}
	}
	t.Logf("%d events without a gap", len(seqs))
}
