package schema_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// A section with two keys, and what is said of a file with two mistakes.
func Example() {
	var size units.Size
	var level string
	d := schema.Decoder{File: "example.yaml"}
	root := d.Parse([]byte("size: 1KiB\nlevel: loud\n"))
	d.Mapping("", root, schema.Keys{
		"size":  d.Size(&size, 64*units.KiB, units.MiB),
		"level": d.Text(&level, schema.OneOf("info", "warn")),
	})
	for _, p := range d.Problems {
		fmt.Println(p)
	}
	// Output:
	// example.yaml:1:7: size: 1KiB is out of range; it must be between 64KiB and 1MiB
	// example.yaml:2:8: level: unknown value "loud"; known here: info, warn
}

func TestHostPortFillsInThePort(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want, wrong string }{
		{in: "h", want: "h:514"},
		{in: "h:1", want: "h:1"},
		{in: "192.0.2.1", want: "192.0.2.1:514"},
		{in: "[2001:db8::1]", want: "[2001:db8::1]:514"},
		{in: "[2001:db8::1]:6514", want: "[2001:db8::1]:6514"},
		{in: "2001:db8::1", wrong: "put an IPv6 address in brackets"},
		{in: "", wrong: "no plain host name"},
		{in: ":514", wrong: "no plain host name"},
		{in: "user@h", wrong: "no plain host name"},
		{in: "h/path", wrong: "no plain host name"},
		{in: "h:0", wrong: "is not a port"},
		{in: "h:65536", wrong: "is not a port"},
		{in: "h:x", wrong: "is not a port"},
	} {
		got, err := schema.HostPort(tt.in, "514")
		if tt.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q: got %q, %v, want an error that says %q", tt.in, got, err, tt.wrong)
			}
			continue
		}
		if got != tt.want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// What is wrong is told, all of it, and leaves the value as it was.
func TestAWrongValueLeavesTheDefault(t *testing.T) {
	t.Parallel()
	number, list, pause, on := 7, []string{"a"}, time.Second, true
	for _, text := range []string{"n: x", "n: 0", "n: 1_000", "l: a", "l: [1]", "d: 5", "d: 2h", "b: yes", "r: 1", "zz: 1"} {
		d := schema.Decoder{File: "f"}
		rfc := 5424
		d.Mapping("", d.Parse([]byte(text)), schema.Keys{
			"n": d.Number(&number, 1, 9), "l": d.Texts(&list), "d": d.Duration(&pause, 0, time.Hour),
			"b": d.Bool(&on), "r": d.OneNumberOf(&rfc, 3164, 5424),
		})
		if len(d.Problems) != 1 || d.Problems[0].Line != 1 {
			t.Errorf("%s: got %v, want one problem in line 1", text, d.Problems)
		}
		if number != 7 || pause != time.Second || !on || rfc != 5424 {
			t.Errorf("%s: a value has changed: %d %v %v %d", text, number, pause, on, rfc)
		}
	}
}
