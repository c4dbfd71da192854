package eventsource

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// eventLines returns the events of an input, one JSON object on a line.
func eventLines(t *testing.T, r io.Reader) string {
	t.Helper()
	records := NewRecords(r)
	var ev ipe.Event
	var c format.Context
	var out []byte
	for {
		if err := records.Next(&ev, &c.Identity); errors.Is(err, io.EOF) {
			return string(out)
		} else if err != nil {
			return string(out) + err.Error()
		}
		out = format.AppendJSON(out, &ev, &c)
	}
}

// TestCapturesWithCompanions compares what real kernels have sent, as datagrams and
// as an audit.log.
func TestCapturesWithCompanions(t *testing.T) {
	t.Parallel()
	captures, err := filepath.Glob("../../test/captures/*/*.nlcap")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, name := range captures {
		text, err := os.ReadFile(strings.TrimSuffix(name, ".nlcap") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("type=1300 ")) || !bytes.Contains(text, []byte("type=1420 ")) {
			continue
		}
		compared++
		release := filepath.Base(filepath.Dir(name))
		golden := filepath.Join("testdata", "companions", release+"-"+strings.TrimSuffix(filepath.Base(name), ".nlcap")+".golden")
		t.Run(filepath.Base(golden), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got := eventLines(t, f)
			if *update {
				if err := errors.Join(os.MkdirAll(filepath.Dir(golden), 0o755), os.WriteFile(golden, []byte(got), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for form, log := range map[string][]byte{"text": text, "audit.log": auditLog(text, ""), "audit.log with a node": auditLog(text, "node=web1 ")} {
				again := strings.ReplaceAll(eventLines(t, bytes.NewReader(log)), `,"host":"web1"}`, "}")
				if diff := cmp.Diff(got, again); diff != "" {
					t.Errorf("as %s (-capture +log):\n%s", form, diff)
				}
			}
		})
	}
	if compared < 8 {
		t.Errorf("only %d captures have companions", compared)
	}
}

// auditLog makes of lines "type=N TEXT" what auditd writes, enriched.
func auditLog(text []byte, node string) []byte {
	names := strings.NewReplacer("type=1300 ", "type=SYSCALL ", "type=1302 ", "type=PATH ", "type=1307 ", "type=CWD ", "type=1309 ", "type=EXECVE ",
		"type=1320 ", "type=EOE ", "type=1327 ", "type=PROCTITLE ", "type=1420 ", "type=UNKNOWN[1420] ")
	var b bytes.Buffer
	for line := range strings.Lines(string(text)) {
		typ, record, _ := strings.Cut(names.Replace(strings.TrimSuffix(line, "\n")), " ")
		enriched := ""
		if typ == "type=SYSCALL" {
			enriched = "\x1dARCH=x86_64 SYSCALL=mallory AUID=\"unset\" UID=\"root\""
		}
		fmt.Fprintf(&b, "%s%s msg=%s%s\n", node, typ, record, enriched)
	}
	return b.Bytes()
}

// Lines of an audit.log about the access N.
func accessLine(n int) string {
	return fmt.Sprintf("type=UNKNOWN[1420] msg=audit(1796063614.%03d:%d): ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=%d comm=\"a\" path=\"/%d\" dev=\"x\" ino=%d rule=\"DEFAULT action=DENY\"\n", n%1000, n, n, n, n)
}

func syscallLine(n int) string {
	return fmt.Sprintf("type=SYSCALL msg=audit(1796063614.%03d:%d): arch=c000003e syscall=9 success=no exit=-13 ppid=1 pid=%d uid=%d euid=0 tty=(none) ses=4294967295 exe=\"/bin/a\"\n", n%1000, n, n, n)
}

func endLine(n int) string {
	return fmt.Sprintf("type=EOE msg=audit(1796063614.%03d:%d): \n", n%1000, n)
}

// who renders the serials of events and the users that are known, in order.
func who(lines string) (list []string) {
	for line := range strings.Lines(lines) {
		var p format.Parser
		var ev ipe.Event
		var id format.Identity
		if p.Parse(&ev, &id, []byte(line)) != nil {
			list = append(list, line)
			continue
		}
		s := fmt.Sprint(ev.Serial)
		if ev.Kind != ipe.KindAccess {
			s = ev.Kind.String()
		}
		if ev.Has&ipe.HasUID != 0 {
			s += fmt.Sprintf(" by %d", ev.UID)
		}
		list = append(list, s)
	}
	return list
}

func TestJoinOfLogs(t *testing.T) {
	t.Parallel()
	load := "type=UNKNOWN[1422] msg=audit(1796063614.900:900): policy_name=\"p\" policy_version=1.0.0 policy_digest=sha256:AB auid=7 ses=1 lsm=ipe res=1 errno=0\n"
	event := `{"time":"2026-11-30T18:33:34.000Z","event":"stopped","version":"1"}` + "\n"
	far, farWant := accessLine(1), []string{"1 by 1"}
	for n := 2; n < 400; n++ {
		far += accessLine(n)
		farWant = append(farWant, fmt.Sprint(n))
	}
	far += syscallLine(1) + endLine(1)
	many := ""
	for n := range 5000 {
		many += accessLine(n + 1)
	}
	many += syscallLine(5000) + endLine(5000)
	for _, tt := range []struct {
		name, log string
		want      []string
	}{
		{"interleaved", accessLine(1) + accessLine(2) + syscallLine(2) + syscallLine(1) + endLine(1) + endLine(2), []string{"1 by 1", "2 by 2"}},
		{"one system call, two accesses", accessLine(1) + accessLine(1) + syscallLine(1) + endLine(1), []string{"1 by 1", "1 by 1"}},
		{"no end", accessLine(1) + syscallLine(1) + accessLine(2), []string{"1 by 1", "2"}},
		{"far apart", far, farWant},
		{"others' system calls", syscallLine(7) + endLine(7) + accessLine(1) + syscallLine(8) + endLine(8) + syscallLine(1), []string{"1 by 1"}},
		{"newest first", endLine(1) + syscallLine(1) + accessLine(1), []string{"1 by 1"}},
		{"another stamp", accessLine(1) + strings.Replace(syscallLine(1), "614.001:1", "615.001:1", 1), []string{"1"}},
		{"another serial", accessLine(1) + strings.Replace(syscallLine(1), "614.001:1", "614.001:2", 1), []string{"1"}},
		{"the serial again after a boot", accessLine(1) + syscallLine(1) + strings.ReplaceAll(accessLine(1), "614.001", "700.001"), []string{"1 by 1", "1"}},
		{"the stamp of another process", accessLine(1) + strings.Replace(syscallLine(1), "pid=1 uid", "pid=2 uid", 1), []string{"1"}},
		{"another host", "node=a " + accessLine(1) + "node=b " + syscallLine(1) + "node=b " + endLine(1), []string{"1"}},
		{"the same host", "node=a " + accessLine(1) + "node=b " + accessLine(1) + "node=b " + syscallLine(1) + "node=a " + endLine(1), []string{"1", "1 by 1"}},
		{"other events keep their places", accessLine(1) + load + event + accessLine(2) + syscallLine(1) + endLine(1), []string{"1 by 1", "policy_load", "stopped", "2"}},
		{"in front of everything", load + event, []string{"policy_load", "stopped"}},
		{"torn", accessLine(1) + syscallLine(1)[:90] + "\n", []string{"1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := who(eventLines(t, strings.NewReader(tt.log)))
			for i := range got {
				got[i] = strings.TrimSuffix(got[i], " by 7")
				if strings.HasPrefix(got[i], "policy_load") {
					got[i] = "policy_load"
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	t.Run("more than is held", func(t *testing.T) {
		t.Parallel()
		got := who(eventLines(t, strings.NewReader(many)))
		if len(got) != 5000 || got[4999] != "5000 by 5000" || got[0] != "1" {
			t.Errorf("%d events, the first %s, the last %s", len(got), got[0], got[len(got)-1])
		}
	})
}

// TestPausesOfAnInput writes into a pipe and waits for what comes out.
func TestPausesOfAnInput(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	events := make(chan string)
	go func() {
		defer close(events)
		records := NewRecords(r)
		var ev ipe.Event
		var id format.Identity
		for records.Next(&ev, &id) == nil {
			events <- who(string(format.AppendJSON(nil, &ev, new(format.Context))))[0]
		}
	}()
	write := func(s string) {
		if _, err := io.WriteString(w, s); err != nil {
			t.Error(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-events:
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s does not come", want)
		}
	}
	write(accessLine(1))
	expect("1") // although the pipe is open
	write(accessLine(2) + syscallLine(2) + accessLine(3) + endLine(2))
	expect("2 by 2")
	expect("3")

	// One pause is for all that waits: one for each would take 50 s.
	const last = 503
	var lines strings.Builder
	for i := 4; i <= last; i++ {
		lines.WriteString(accessLine(i))
	}
	began := time.Now()
	write(lines.String())
	for i := 4; i <= last; i++ {
		expect(strconv.Itoa(i))
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("what waits behind a pause came in %v", took)
	}
	w.Close()
	if got, ok := <-events; ok {
		t.Errorf("and %s", got)
	}
}
