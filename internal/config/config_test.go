package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/journald"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
	"github.com/ipe-auditd/ipe-auditd/internal/sinks"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// What the design shows.
const example = `
source:
  receive_buffer: 128MiB
spool:
  dir: /var/lib/ipe-auditd   # default: $STATE_DIRECTORY; none: in memory
  size: 256MiB
  memory: 16MiB              # bound of the in-memory form
  sync: 1s
api:
  path: /run/ipe-auditd/api.sock
  mode: "0660"
  group: ""
metrics:
  textfile: ""
log:
  level: info
sinks:
  - name: local
    type: file
    path: /var/log/ipe-auditd/events.json
    format: json             # json, text, raw
    rotate: {size: 64MiB, age: 24h, keep: 14, compress: true}
  - name: journal
    type: journald
  - name: siem
    type: syslog
    address: tls://logs.example.com:6514
    ca: /etc/ipe-auditd/ca.pem
    match:
      - {verdicts: [denied], not: {paths: ["/tmp/build/**"]}}
      - {events: [enforcement, policy_load, policy_activate, unparsed, lost, forged]}
  - name: page
    type: exec
    command: [/usr/local/libexec/page, --severity, high]
    mode: each
`

func TestParseReadsEverything(t *testing.T) {
	t.Parallel()
	got, warnings, err := Parse("x", []byte(example))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	want := Defaults()
	want.Spool.Dir = "/var/lib/ipe-auditd"
	want.API.Path = "/run/ipe-auditd/api.sock"
	want.Sinks = []Sink{
		{Name: "local", Type: "file", From: FromEnd, Settings: &file.Config{
			Format: "json", Path: "/var/log/ipe-auditd/events.json", Mode: 0o640,
			Rotate: &file.RotateConfig{Size: 64 * units.MiB, Age: 24 * time.Hour, Keep: 14, Compress: true},
		}},
		{Name: "journal", Type: "journald", From: FromEnd, Settings: &journald.Config{}},
		{Name: "siem", Type: "syslog", From: FromEnd,
			Match: []match.Selection{
				{Verdicts: []string{"denied"}, Not: &match.Selection{Paths: []string{"/tmp/build/**"}}},
				{Events: []string{"enforcement", "policy_load", "policy_activate", "unparsed", "lost", "forged"}},
			},
			Settings: &syslog.Config{
				Address: "tls://logs.example.com:6514", Network: "tls", Target: "logs.example.com:6514",
				Facility: "authpriv", RFC: 5424, SDID: "ipe@32473", CA: "/etc/ipe-auditd/ca.pem",
				MaxMessage: 8096, Framing: "octet",
			}},
		{Name: "page", Type: "exec", From: FromEnd,
			Match: []match.Selection{{Verdicts: []string{"denied"}}, {Not: &match.Selection{Events: []string{"access", "heartbeat", "checkpoint"}}}},
			Settings: &exec.Config{
				Format: "json", Command: []string{"/usr/local/libexec/page", "--severity", "high"},
				Mode: "each", Timeout: 30 * time.Second, MaxPerMinute: 30,
			}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseReadsEveryKeyOfASelection(t *testing.T) {
	t.Parallel()
	const selection = "{events: [access], verdicts: [denied], ops: [EXECUTE], hooks: [MMAP], paths: [/a, \"**\"], not: {ops: [POLICY]}}"
	c, _, err := Parse("x", []byte("sinks: [{type: console, match: "+selection+"}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := []match.Selection{{
		Events: []string{"access"}, Verdicts: []string{"denied"}, Ops: []string{"EXECUTE"}, Hooks: []string{"MMAP"},
		Paths: []string{"/a", "**"}, Not: &match.Selection{Ops: []string{"POLICY"}},
	}}
	if diff := cmp.Diff(want, c.Sinks[0].Match); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStreamHasNoLimit(t *testing.T) {
	t.Parallel()
	c, _, err := Parse("x", []byte("sinks: [{type: exec, command: [/x]}]"))
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Sinks[0]; s.Settings.(*exec.Config).MaxPerMinute != 0 || s.Match != nil {
		t.Errorf("got %+v and match %v, want no limit and every event", s.Settings, s.Match)
	}
}

func TestManySinksAreNotDeep(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("sinks:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "  - {name: s%d, type: console, match: [{events: [lost]}]}\n", i)
	}
	c, _, err := Parse("x", []byte(text.String()))
	if err != nil || len(c.Sinks) != 100 {
		t.Errorf("got %v", err)
	}
}

func TestEmptyFilesSayNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# only this\n", "---\n", "spool:\nsinks:\n", "spool: {}\n", "\ufeff", "~\n"} {
		got, _, err := Parse("x", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(Defaults(), got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", text, diff)
		}
	}
	c, _, err := Parse("x", []byte("sinks: []\n"))
	if err != nil || c.Sinks == nil || len(c.Sinks) > 0 {
		t.Errorf("an empty list of sinks is not kept: %v %v", c, err)
	}
}

func TestDefaultSinksAreValid(t *testing.T) {
	t.Parallel()
	for service, typ := range map[bool]string{true: "journald", false: "console"} {
		c, _, err := Parse("x", []byte("sinks: [{type: "+typ+"}]"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Sinks, DefaultSinks(service)); diff != "" {
			t.Errorf("service %v: -want +got:\n%s", service, diff)
		}
	}
}

func TestSyslogAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address, network, target string
		rfc                      int
	}{
		{"unix:///dev/log", "unix", "/dev/log", 3164},
		{"unix:///run/systemd/journal/dev-log", "unix", "/run/systemd/journal/dev-log", 3164},
		{"unix:///run/other.sock", "unix", "/run/other.sock", 5424},
		{"udp://192.0.2.1", "udp", "192.0.2.1:514", 5424},
		{"tcp://[2001:db8::1]:601", "tcp", "[2001:db8::1]:601", 5424},
		{"tcp://[2001:db8::1]", "tcp", "[2001:db8::1]:514", 5424},
		{"tls://logs.example.com", "tls", "logs.example.com:6514", 5424},
	} {
		c, _, err := Parse("x", []byte(`sinks: [{type: syslog, address: "`+tt.address+`"}]`))
		if err != nil {
			t.Errorf("%s: %v", tt.address, err)
			continue
		}
		if s := c.Sinks[0].Settings.(*syslog.Config); s.Network != tt.network || s.Target != tt.target || s.RFC != tt.rfc {
			t.Errorf("%s: got %+v", tt.address, s)
		}
	}
}

func TestSyslogLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		keys, framing string
		max           units.Size
	}{
		{`address: "tcp://h"`, "octet", 8096},
		{`address: "tls://h", framing: lf, max_message: 480`, "lf", 480},
		{`address: "udp://h"`, "", 0},
		{`address: "unix:///dev/log"`, "", 0},
		{`address: "udp://h", max_message: 60KiB`, "", 60 * units.KiB},
	} {
		c, warnings, err := Parse("x", []byte("spool: {dir: /x}\nsinks: [{type: syslog, "+tt.keys+"}]"))
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, %v", tt.keys, err, warnings)
			continue
		}
		if s := c.Sinks[0].Settings.(*syslog.Config); s.MaxMessage != tt.max || s.Framing != tt.framing {
			t.Errorf("%s: got %v and %q, want %v and %q", tt.keys, s.MaxMessage, s.Framing, tt.max, tt.framing)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"memory", "spool: {dir: \"\"}", "x: the spool is in memory"},
		{"open api", "spool: {dir: /x}\napi: {path: /x, mode: \"0666\"}", "x: api.mode 0666"},
		{"textfile", "spool: {dir: /x}\nmetrics: {textfile: /x.txt}", "x:2:21: metrics.textfile: node_exporter"},
		{"op", "spool: {dir: /x}\nsinks: [{type: console, match: [{ops: [EXECUT]}, {events: [lost, enforcement]}]}]", `x:2:40: sinks[0].match[0].ops: no kernel is known to write "EXECUT"; did you mean "EXECUTE"?`},
		{"hook", "spool: {dir: /x}\nsinks: [{type: console, match: [{hooks: [mmap]}, {events: [lost, enforcement]}]}]", `did you mean "MMAP"?`},
		{"max_message", "spool: {dir: /x}\nsinks: [{type: syslog, address: \"tcp://h\", max_message: 8KiB}]", `x:2:44: sinks[0].max_message is more than receivers take`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, warnings, err := Parse("x", []byte(tt.text))
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), tt.want) {
				t.Errorf("got %v, warnings %v, want only %q", err, warnings, tt.want)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	parse := func(text string) *Config {
		c, _, err := Parse("x", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := parse("log: {level: info}\nsinks:\n  - {name: a, type: console}\n  - {name: b, type: file, path: /b, rotate: {keep: 2}}\n  - {name: c, type: journald}\n  - {type: syslog, address: \"udp://h\"}\n")
	after := parse("# moved\nlog: {level: warn}\nspool: {sync: 2s}\nsinks:\n  - {name: syslog, type: syslog, address: \"udp://h\"}\n  - {name: d, type: console}\n  - {name: b, type: file, path: /b, rotate: {keep: 3}}\n  - {name: a, type: console, format: text}\n")
	want := Changes{
		Sections: []string{"spool", "log"}, Unchanged: []string{"syslog", "a"},
		Changed: []string{"b"}, Added: []string{"d"}, Removed: []string{"c"},
	}
	got := Diff(before, after)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if none(got) || !none(Diff(after, after)) {
		t.Errorf("None is wrong")
	}
}

// The parser would take minutes for these, or exhaust the stack.
func TestDeepNestingIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"[", "{", "{a: ", "- ", "? ", "&a ", "!!map ", "[\n", "a: [b, "} {
		_, _, err := Parse("x", []byte(strings.Repeat(text, 10_000)))
		if err == nil || !strings.Contains(err.Error(), "nested too deep") && !strings.Contains(err.Error(), "are not read") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestErrorNamesTheFirstProblems(t *testing.T) {
	t.Parallel()
	const maxShown = 20
	_, _, err := Parse("x", []byte(strings.Repeat("1: 2\n\"\\e\": 1\n", maxShown)))
	if err == nil || strings.Count(err.Error(), "x:") != maxShown || !strings.HasSuffix(err.Error(), " more") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse looks for panics, and for messages and accepted configurations that
// break their promises.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	for _, text := range []string{
		"a: &x [*x]\n", "? [a]\n: b\n", "sinks:\n- {type: file, path: /x, rotate: {age: 7d}}\n", "a: |\n  b\n---\n", "!!map {a: 1}\n",
		"sinks: [{type: syslog, address: \"tcp://[::1]:1\"}]\n", "spool: {\"si\\0ze\": 1}\n", "[[[[[[", "a: 'b\n", "{a: {a: {a: 1\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, warnings, err := Parse("fuzz.yaml", data)
		if (c == nil) != (err != nil) {
			t.Fatalf("configuration %v with error %v", c, err)
		}
		if err != nil {
			warnings = append(warnings, err.(*schema.Error).Problems...)
			_ = err.Error()
		}
		for _, p := range warnings {
			if strings.ContainsFunc(p.String()+strings.ReplaceAll(p.Excerpt(), "\n", ""), unicode.IsControl) {
				t.Errorf("control characters in %q %q", p.String(), p.Excerpt())
			}
		}
		if c == nil {
			return
		}
		names := make(map[string]bool)
		for _, s := range c.Sinks {
			if sinkName(s.Name) != nil || names[s.Name] || reflect.TypeOf(s.Settings) != reflect.TypeOf(sinks.Settings(s.Type)) {
				t.Errorf("impossible sink %+v", s)
			}
			names[s.Name] = true
		}
		if again, _, _ := Parse("fuzz.yaml", data); !none(Diff(c, again)) {
			t.Errorf("read differently the second time: %+v", Diff(c, again))
		}
	})
}

// none reports whether both configurations ask for the same.
func none(ch Changes) bool {
	return len(ch.Sections)+len(ch.Changed)+len(ch.Added)+len(ch.Removed) == 0
}

func TestOmitDoesNotLetTheRecordThrough(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{type: console, format: json, omit: [proctitle, unit], raw: true}": "",
		"{type: console, format: json, omit: [comm], raw: true}":            "raw: true",
		"{type: file, path: /var/log/a, format: raw, omit: [pid]}":          "format: raw",
		"{type: file, path: /var/log/a, format: raw, omit: [exe]}":          "",
		"{type: console, omit: [seq]}":                                      "seq",
		"{type: console, omit: []}":                                         "empty list",
	} {
		_, _, err := Parse("test", []byte("sinks:\n  - "+text+"\n"))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
