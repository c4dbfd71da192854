// Package docs compares the pages with what they are about.
package docs

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

var update = flag.Bool("update", false, "rewrite the output in the pages")

const (
	eventsPage  = "ipe-audit-events.md"
	kernelsPage = "kernels.md"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// samples are blocks of records, and the block of output behind each.
var samples = regexp.MustCompile("(?s)```records\n(.*?)```\n\n?(```(?:text|json)\n.*?```)?")

func TestSamplesAreDecodedAsPrinted(t *testing.T) {
	t.Parallel()
	page := read(t, eventsPage)
	found := samples.FindAllStringSubmatch(page, -1)
	if len(found) < 5 {
		t.Fatalf("%d samples", len(found))
	}
	for _, sample := range found {
		form, output, ok := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(sample[2], "```"), "```"), "\n")
		encode := map[string]format.Func{"text": format.AppendText, "json": format.AppendJSON}[form]
		if !ok || encode == nil {
			t.Errorf("no output behind\n%s", sample[1])
			continue
		}
		got := decode(t, sample[1], encode)
		if *update {
			page = strings.Replace(page, sample[0], strings.TrimSuffix(sample[0], output+"```")+got+"```", 1)
		} else if diff := cmp.Diff(output, got); diff != "" {
			t.Errorf("output of\n%s(-page +decoder):\n%s", sample[1], diff)
		}
	}
	if *update {
		if err := os.WriteFile(eventsPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// decode returns what the command decode prints.
func decode(t *testing.T, records string, encode format.Func) string {
	t.Helper()
	var (
		r       = input.NewReader(strings.NewReader(records))
		decoder ipe.Decoder
		event   ipe.Event
		out     []byte
	)
	for rec := (input.Record{}); ; {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return string(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		if decoder.Decode(&event, rec.Type, rec.Text) == ipe.ClassIPE {
			out = encode(out, &event, new(format.Context))
		}
	}
}

func TestSamplesAreOfRealKernels(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../test/captures/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("captures: %v, %v", files, err)
	}
	var captures strings.Builder
	for _, file := range files {
		captures.WriteString(read(t, file))
	}
	for _, sample := range samples.FindAllStringSubmatch(read(t, eventsPage), -1) {
		for line := range strings.Lines(sample[1]) {
			if !strings.Contains(captures.String(), line) {
				t.Errorf("no capture has %s", line)
			}
		}
	}
}

func TestKernelsAreThoseWithCaptures(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range entries {
		if e.IsDir() {
			want = append(want, e.Name())
		}
	}
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9.]+) \| ([0-9.]+)\S* \| \d{4}-\d\d-\d\d \| \d+ passed.* \|$`).FindAllStringSubmatch(read(t, kernelsPage), -1) {
		got = append(got, row[1])
		if !strings.HasPrefix(row[2], row[1]+".") {
			t.Errorf("%s is not of Linux %s", row[2], row[1])
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("folders of captures and rows of %s (-folders +rows):\n%s", kernelsPage, diff)
	}
}

// Names in the page are the ones that the decoder knows.
func TestPageNamesEveryField(t *testing.T) {
	t.Parallel()
	page := read(t, eventsPage)
	for _, typ := range ipe.Types() {
		if !strings.Contains(page, fmt.Sprint(typ)) {
			t.Errorf("type %d is not mentioned", typ)
		}
	}
	words := regexp.MustCompile(`(?:^| )([a-z][a-z_-]*)=`)
	for _, sample := range samples.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(sample[1]) {
			if !regexp.MustCompile(`^type=(1404|142[012]) `).MatchString(line) {
				continue
			}
			line, _, _ = strings.Cut(line, `rule="`)
			for _, field := range words.FindAllStringSubmatch(line, -1)[1:] { // the first is type
				if !strings.Contains(page, "`"+field[1]+"`") {
					t.Errorf("the field %s is not explained", field[1])
				}
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{eventsPage, kernelsPage} {
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(read(t, name), -1) {
			if strings.HasPrefix(link[1], "https://") {
				continue
			}
			if _, err := os.Stat(link[1]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
