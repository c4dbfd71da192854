package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sameConfig compares without the places in the files.
func sameConfig(t *testing.T, name string, want, got *Config) {
	t.Helper()
	a, b := *want, *got
	a.Sinks, b.Sinks = nil, nil
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
	if !slices.EqualFunc(want.Sinks, got.Sinks, Sink.Equal) || (want.Sinks == nil) != (got.Sinks == nil) {
		t.Errorf("%s: sinks are %+v, want %+v", name, got.Sinks, want.Sinks)
	}
}

// TestWhatIsShownIsReadBack takes every configuration that is delivered, the
// reference with all of its settings, and what is hard to write.
func TestWhatIsShownIsReadBack(t *testing.T) {
	t.Parallel()
	texts := map[string]string{
		"empty":    "",
		"no sinks": "sinks: []\n",
		"all":      string(uncommented(t)),
		"odd": `
spool: {dir: "/a b/#c/'d\"", size: 65MiB, sync: 1500ms}
api: {path: "", group: "12"}
log: {level: debug}
sinks:
  - {name: "on", type: file, path: "/var/log/ä\\ö: {}", mode: "0640", rotate: {size: 0, age: 36h, keep: 3, compress: false}, raw: true}
  - {name: plain, type: file, path: /x, coalesce: 90s, from: oldest, match: {not: {events: [access]}}}
  - {name: udp, type: syslog, address: "udp://[::1]:514", facility: local3}
  - {name: dev, type: syslog, address: "unix:///dev/log"}
  - {name: tcp, type: syslog, address: "tcp://h", framing: lf, max_message: 2KiB, rfc: 3164}
  - {name: each, type: exec, command: [/bin/sh, -c, "echo \"$1\" # 'x'", "", "true"], mode: each, timeout: 5s}
  - {name: stream, type: exec, command: [/bin/cat]}
  - {name: paths, type: console, match: [{paths: ["/tmp/[a-z]*", "/x,y"], verdicts: [denied]}, {ops: [NEW_OP]}]}
`}
	files, err := filepath.Glob("../../configs/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[f] = string(data)
	}
	for name, text := range texts {
		want, _, err := Parse(name, []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shown := want.AppendYAML(nil)
		got, _, err := Parse(name, shown)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, shown)
			continue
		}
		sameConfig(t, name, want, got)
		if again := got.AppendYAML(nil); string(again) != string(shown) {
			t.Errorf("%s: shown once more it is other:\n%s\n%s", name, shown, again)
		}
		asJSON := want.AppendJSON(nil)
		if !json.Valid(asJSON) {
			t.Errorf("%s: not JSON: %s", name, asJSON)
		}
		if got, _, err := Parse(name, asJSON); err != nil {
			t.Errorf("%s: the JSON is not read back: %v\n%s", name, err, asJSON)
		} else {
			sameConfig(t, name+" as JSON", want, got)
		}
	}
}

func TestDefaultsAreShown(t *testing.T) {
	t.Parallel()
	c := Defaults()
	c.Sinks = DefaultSinks(true)
	for _, want := range []string{"receive_buffer: 128MiB", "  sync: 1s\n", `  mode: "0660"`, "  level: info", "heartbeat: \"off\"\n", "  - name: journald\n    type: journald\n    from: end\n    raw: false\n    coalesce: 0s\n"} {
		if shown := string(c.AppendYAML(nil)); !strings.Contains(shown, want) {
			t.Errorf("%q is missing:\n%s", want, shown)
		}
	}
}
