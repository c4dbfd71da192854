package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/google/go-cmp/cmp"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
	"github.com/ipe-auditd/ipe-auditd/internal/sinks"
)

const reference = "../../configs/ipe-auditd.yaml"

// settings matches a setting that is commented out, but no prose.
var settings = regexp.MustCompile(`(?m)^( *)#([^ #\n])`)

// uncommented returns the reference configuration with all of its settings.
func uncommented(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return settings.ReplaceAll(data, []byte("$1$2"))
}

func TestReferenceAsShippedSaysNothing(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Parse(reference, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Defaults(), got); diff != "" {
		t.Errorf("it changes defaults (-default +reference):\n%s", diff)
	}
}

func TestReferenceNamesTheDefaults(t *testing.T) {
	t.Parallel()
	got, warnings, err := Parse(reference, uncommented(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	want := inEnvironment(func(name string) string {
		return map[string]string{"STATE_DIRECTORY": "/var/lib/ipe-auditd", "RUNTIME_DIRECTORY": "/run/ipe-auditd"}[name]
	})
	// Of each sink only what it cannot do without, and what has no default.
	sinks, _, err := Parse("want", []byte(`
sinks:
  - {type: console, omit: [proctitle, tty, auid, uid, euid], match: [
      {events: [access], verdicts: [denied, would_deny], ops: [EXECUTE], hooks: [MMAP, MPROTECT], paths: ["/usr/**"],
       units: [nginx.service, "app-*.scope"], users: [root, "1000"], containers: ["3f4e8a1b2c5d*"], not: {paths: ["/usr/share/**"]}},
      {events: [enforcement, policy_load, policy_activate, unparsed, lost, forged, audit_config]}]}
  - {type: file, path: /var/log/ipe-auditd/events.json, rotate: {}}
  - {type: journald}
  - {type: syslog, address: tls://logs.example.com, ca: /etc/ipe-auditd/ca.pem, cert: /etc/ipe-auditd/client.pem, key: /etc/ipe-auditd/client.key}
  - {type: otlp, endpoint: "https://collector.example.com:4318/v1/logs", headers_file: /etc/ipe-auditd/otlp.headers, ca: /etc/ipe-auditd/ca.pem, cert: /etc/ipe-auditd/client.pem, key: /etc/ipe-auditd/client.key}
  - {type: nats, servers: ["tls://nats.example.com:4222"], credentials: /etc/ipe-auditd/nats.creds, ca: /etc/ipe-auditd/ca.pem, cert: /etc/ipe-auditd/client.pem, key: /etc/ipe-auditd/client.key}
  - {type: exec, command: [/usr/local/libexec/page, --severity, high]}
  - {name: page, type: exec, command: [/usr/local/libexec/page], mode: each}
`))
	if err != nil {
		t.Fatal(err)
	}
	want.Sinks = sinks.Sinks
	want.Sinks[3].Settings.(*syslog.Config).Address = "tls://logs.example.com:6514"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not the defaults (-default +reference):\n%s", diff)
	}
}

func TestReferenceHasEveryKey(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseBytes(uncommented(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	keysOfNode("", file.Docs[0].Body, there)
	known := make(map[string]bool)
	keysOfType("", reflect.TypeFor[Config](), known)
	for k := range known {
		if !there[k] {
			t.Errorf("%s is missing from the reference", k)
		}
	}
	for k := range there {
		if !known[k] && !strings.Contains(k, ".not.") {
			t.Errorf("%s is in the reference, but in no struct", k)
		}
	}
	if len(known) < 40 {
		t.Errorf("only %d keys known: the test is broken", len(known))
	}
}

// keysOfType collects the keys of a struct from its yaml tags. Of a type within
// itself it knows only the name.
func keysOfType(prefix string, typ reflect.Type, into map[string]bool) {
	for f := range typ.Fields() {
		tag, ok := f.Tag.Lookup("yaml")
		key, _, _ := strings.Cut(tag, ",")
		if !ok || key == "-" {
			continue
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		name := prefix
		if key != "" {
			name = prefix + "." + key
			into[name] = true
		}
		if inner == reflect.TypeFor[sink.Settings]() {
			for _, t := range sinks.Types() {
				keysOfType(name, reflect.TypeOf(t.Settings()).Elem(), into)
			}
		}
		if inner.Kind() == reflect.Struct && inner != typ {
			keysOfType(name, inner, into)
		}
	}
}

func keysOfNode(prefix string, n ast.Node, into map[string]bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			name := prefix + "." + v.Key.(*ast.StringNode).Value
			into[name] = true
			keysOfNode(name, v.Value, into)
		}
	case *ast.SequenceNode:
		for _, v := range n.Values {
			keysOfNode(prefix, v, into)
		}
	}
}

// Every key of the structs is read: the decoder does not call it unknown.
func TestEveryTaggedKeyIsRead(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	keysOfType("", reflect.TypeFor[Config](), known)
	for k := range known {
		path := strings.Split(k[1:], ".")
		text := strings.Join(path, ": {") + ": {zzz: 1}" + strings.Repeat("}", len(path)-1)
		if path[0] == "sinks" {
			text = "sinks: [{type: TYPE, " + strings.Join(path[1:], ": {") + ": {zzz: 1}" + strings.Repeat("}", max(len(path)-1, 1)-1) + "}]"
			if len(path) == 1 {
				continue
			}
		}
		read := slices.ContainsFunc(sinks.Names(), func(typ string) bool {
			_, _, err := Parse("x", []byte(strings.ReplaceAll(text, "TYPE", typ)))
			return err != nil && !strings.Contains(err.Error(), "unknown key \""+path[len(path)-1]) && !strings.Contains(err.Error(), "does not belong")
		})
		if !read && path[len(path)-1] != "type" {
			t.Errorf("%s is not read: %s", k, text)
		}
	}
}

func TestExamplesParse(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("../../configs/examples/*.yaml")
	if len(files) < 3 {
		t.Fatalf("found only %v", files)
	}
	for _, file := range append(files, "../../configs/minimal.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, warnings, err := Parse(file, data)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, w := range warnings {
			if !strings.Contains(w.Message, "in memory") { // Parse has no environment
				t.Errorf("%v", w)
			}
		}
		if len(c.Sinks) == 0 {
			t.Errorf("%s: no sinks", file)
		}
	}
}
