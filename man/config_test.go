package man

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ipe-auditd/ipe-auditd/internal/config"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/console"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/exec"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/file"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/nats"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/otlp"
	"github.com/ipe-auditd/ipe-auditd/internal/sink/syslog"
	"github.com/ipe-auditd/ipe-auditd/internal/sinks"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// configKeys returns the keys of a struct of the configuration, with those in
// it behind dots.
func configKeys(typ reflect.Type, prefix string) []string {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	var keys []string
	if typ.Kind() != reflect.Struct {
		return nil
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline": // what each type of sink has of its own
			for _, t := range sinks.Types() {
				keys = append(keys, configKeys(reflect.TypeOf(t.Settings()), prefix)...)
			}
		case name == "" || name == "-":
		case f.Type == reflect.PointerTo(typ): // a selection within a selection
			keys = append(keys, prefix+name)
		default:
			keys = append(keys, prefix+name)
			keys = append(keys, configKeys(f.Type, prefix+name+".")...)
		}
	}
	return keys
}

// documented is a key as the page has it.
type documented struct {
	subsection string // of the page
	text       string // behind the item, in one line
}

// documentedKeys returns the keys of the page. Those that several types of
// sinks have stand there once for each.
func documentedKeys(t *testing.T) map[string][]documented {
	t.Helper()
	keys := map[string][]documented{"sinks": {{}}}
	current := ""
	for _, l := range read(t, configPage) {
		prefix := "sinks."
		section, ok := strings.CutPrefix(l.subsection, "Section ")
		if ok {
			prefix = section + "."
		} else if strings.HasPrefix(l.subsection, "Key ") {
			prefix = "" // a key of the top
		}
		names := words(l.text, "Ic")
		switch {
		case strings.HasPrefix(l.text, ".Sh "):
			current = ""
		case strings.HasPrefix(l.text, ".Ss "):
			if current = ""; ok {
				keys[section] = []documented{{subsection: l.subsection}}
			}
		case isItem(l) && len(names) > 0:
			current = prefix + names[0]
			keys[current] = append(keys[current], documented{subsection: l.subsection})
		case current != "":
			all := keys[current]
			all[len(all)-1].text += " " + strings.ReplaceAll(l.text, `\(dq`, `"`)
		}
	}
	return keys
}

func TestEveryConfigurationKey(t *testing.T) {
	t.Parallel()
	want := configKeys(reflect.TypeFor[config.Config](), "")
	sameSet(t, "keys", want, slices.Collect(maps.Keys(documentedKeys(t))))
}

func TestSinkKeysStandWithTheTypesThatHaveThem(t *testing.T) {
	t.Parallel()
	keys := documentedKeys(t)
	for _, typ := range sinks.Names() {
		for key, places := range keys {
			name, ok := strings.CutPrefix(key, "sinks.")
			if !ok || strings.Contains(name, ".") || name == "type" {
				continue
			}
			there := slices.ContainsFunc(places, func(d documented) bool {
				return d.subsection == "Every sink" || d.subsection == "Type "+typ
			})
			if has := takesKey(t, typ, name); has != there {
				t.Errorf("a sink of type %s has %s: %v, by the page %v", typ, name, has, there)
			}
		}
	}
}

// takesKey reports whether a sink of the type may have the key, with whatever
// value.
func takesKey(t *testing.T, typ, key string) bool {
	t.Helper()
	_, _, err := config.Parse("test", fmt.Appendf(nil, "sinks:\n  - type: %s\n    %s: 0\n", typ, key))
	var conf *schema.Error
	if err != nil && !errors.As(err, &conf) {
		t.Fatal(err)
	}
	return conf == nil || !slices.ContainsFunc(conf.Problems, func(p schema.Problem) bool {
		return strings.Contains(p.Message, "does not belong to a sink of type "+typ)
	})
}

// parse returns the sink of a configuration that has one.
func parse(t *testing.T, text string) config.Sink {
	t.Helper()
	c, _, err := config.Parse("test", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return c.Sinks[0]
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	keys := documentedKeys(t)
	c := config.Defaults()
	every := parse(t, "sinks: [{type: console}]")
	console := every.Settings.(*console.Config)
	file := parse(t, "sinks: [{type: file, path: /f, rotate: {}}]").Settings.(*file.Config)
	syslog := parse(t, "sinks: [{type: syslog, address: 'udp://h'}]").Settings.(*syslog.Config)
	otlp := parse(t, "sinks: [{type: otlp, endpoint: 'https://h'}]").Settings.(*otlp.Config)
	nats := parse(t, "sinks: [{type: nats, servers: ['tls://h']}]").Settings.(*nats.Config)
	stream := parse(t, "sinks: [{type: exec, command: [/c]}]").Settings.(*exec.Config)
	each := parse(t, "sinks: [{type: exec, command: [/c], mode: each}]").Settings.(*exec.Config)
	for _, tt := range []struct {
		key, subsection string
		value           any
	}{
		{"source.receive_buffer", "Section source", c.Source.ReceiveBuffer},
		{"spool.size", "Section spool", c.Spool.Size},
		{"spool.memory", "Section spool", c.Spool.Memory},
		{"spool.sync", "Section spool", c.Spool.Sync},
		{"api.mode", "Section api", c.API.Mode},
		{"log.level", "Section log", c.Log.Level},
		{"sinks.from", "Every sink", every.From},
		{"sinks.raw", "Every sink", every.Raw},
		{"sinks.format", "Type console", console.Format},
		{"sinks.format", "Type file", file.Format},
		{"sinks.mode", "Type file", file.Mode},
		{"sinks.sync", "Type file", file.Sync},
		{"sinks.rotate.size", "Type file", file.Rotate.Size},
		{"sinks.rotate.age", "Type file", file.Rotate.Age},
		{"sinks.rotate.keep", "Type file", file.Rotate.Keep},
		{"sinks.rotate.compress", "Type file", file.Rotate.Compress},
		{"sinks.facility", "Type syslog", syslog.Facility},
		{"sinks.sd_id", "Type syslog", syslog.SDID},
		{"sinks.compression", "Type otlp", otlp.Compression},
		{"sinks.batch", "Type otlp", otlp.Batch},
		{"sinks.timeout", "Type otlp", otlp.Timeout},
		{"sinks.stream", "Type nats", nats.Stream},
		{"sinks.create", "Type nats", nats.Create},
		{"sinks.format", "Type nats", nats.Format},
		{"sinks.batch", "Type nats", nats.Batch},
		{"sinks.timeout", "Type nats", nats.Timeout},
		{"sinks.mode", "Type exec", stream.Mode},
		{"sinks.timeout", "Type exec", stream.Timeout},
		{"sinks.max_per_minute", "Type exec", each.MaxPerMinute},
	} {
		i := slices.IndexFunc(keys[tt.key], func(d documented) bool { return d.subsection == tt.subsection })
		if i < 0 {
			t.Errorf("%s is not in %q", tt.key, tt.subsection)
			continue
		}
		_, said, ok := strings.Cut(keys[tt.key][i].text, "Default: ")
		said, _, _ = strings.Cut(said+" ", " ")
		said = strings.TrimSuffix(said, ".")
		if want := written(tt.value, said); !ok || said != want {
			t.Errorf("%s in %q: default %q, by the page %q", tt.key, tt.subsection, want, said)
		}
	}
}

// written returns a value as the page writes it. Of the forms that a duration
// has it takes the one that the page does.
func written(value any, said string) string {
	switch v := value.(type) {
	case time.Duration:
		if d, err := units.ParseDuration(said); err == nil && d == v {
			return said
		}
	case fs.FileMode:
		return fmt.Sprintf(`"%04o"`, uint32(v))
	}
	return fmt.Sprint(value)
}

func TestDefaultMatchOfModeEach(t *testing.T) {
	t.Parallel()
	displays := literals(read(t, configPage), "SINKS", "Type exec")
	if len(displays) != 1 {
		t.Fatalf("%d literal displays, want the default of match", len(displays))
	}
	const sink = "sinks:\n- type: exec\n  command: [/c]\n  mode: each\n"
	match := "  match:\n  " + strings.ReplaceAll(strings.TrimSpace(displays[0]), "\n", "\n  ") + "\n"
	if diff := cmp.Diff(parse(t, sink).Match, parse(t, sink+match).Match, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("match (-program +page):\n%s", diff)
	}
}

func TestExampleConfigurationIsGood(t *testing.T) {
	t.Parallel()
	for _, text := range literals(read(t, configPage), "EXAMPLES", "") {
		if _, warnings, err := config.Parse("EXAMPLES", []byte(text)); err != nil {
			t.Errorf("%v, %v", err, warnings)
		}
	}
}

func TestValuesOfConfigurationKeys(t *testing.T) {
	t.Parallel()
	lines := read(t, configPage)
	values := valuesOf(lines, "Ic")
	sameSet(t, "match.events", named(ipe.Kind(0)), values["match.events"])
	sameSet(t, "match.verdicts", named(ipe.VerdictDenied), values["match.verdicts"])
	for _, facility := range values["facility"] {
		parse(t, "sinks: [{type: syslog, address: 'udp://h', facility: "+facility+"}]")
	}
	for _, level := range values["level"] {
		if _, _, err := config.Parse("test", []byte("log: {level: "+level+"}")); err != nil {
			t.Error(err)
		}
	}
	for _, key := range []string{"ops", "hooks"} {
		i := slices.IndexFunc(lines, func(l line) bool { return isItem(l) && slices.Contains(words(l.text, "Ic"), "match."+key) })
		names := words(lines[i+2].text, "Dv") // behind "Of"
		if len(names) == 0 {
			t.Errorf("the page names no %s", key)
		}
		_, warnings, err := config.Parse("test", fmt.Appendf(nil, "sinks: [{type: console, match: [{%s: [%s]}, {not: {events: [access]}}]}]", key, strings.Join(names, ", ")))
		if unknown := slices.DeleteFunc(warnings, func(p schema.Problem) bool { return !strings.Contains(p.Message, "no kernel is known to write") }); err != nil || len(unknown) > 0 {
			t.Errorf("%s %v: %v, %v", key, names, unknown, err)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	keys := documentedKeys(t)
	const (
		file = "sinks: [{type: file, path: /f, %s}]"
		each = "sinks: [{type: exec, command: [/c], mode: each, %s}]"
	)
	for _, tt := range []struct {
		key, subsection string
		config          string
		least, most     string // as the page has them
		below, above    string // just outside; empty for none
	}{
		{"source.receive_buffer", "Section source", "source: {%s}", "64KiB", "1GiB", "65535", "1073741825"},
		{"spool.size", "Section spool", "spool: {%s}", "1MiB", "1TiB", "1048575", "1099511627777"},
		{"spool.sync", "Section spool", "spool: {%s}", "up", "1h", "", "3600001ms"},
		{"api.mode", "Section api", "api: {%s}", "0600", "0666", "0400", "0667"},
		{"heartbeat", "Key heartbeat", "%s", "1s", "24h", "999ms", "24h1s"},
		{"sinks.mode", "Type file", file, "0600", "0664", "0400", "0666"},
		{"sinks.rotate.size", "Type file", file, "64KiB", "1TiB", "65535", "1099511627777"},
		{"sinks.rotate.age", "Type file", file, "1m", "3650d", "59s", "3651d"},
		{"sinks.rotate.keep", "Type file", file, "1", "10000", "0", "10001"},
		{"sinks.timeout", "Type exec", each, "1s", "1h", "999ms", "3601s"},
		{"sinks.max_per_minute", "Type exec", each, "1", "6000", "0", "6001"},
	} {
		i := slices.IndexFunc(keys[tt.key], func(d documented) bool { return d.subsection == tt.subsection })
		if i < 0 {
			t.Errorf("%s is not in %q", tt.key, tt.subsection)
			continue
		}
		if said := keys[tt.key][i].text; !strings.Contains(said, tt.least+" to "+tt.most) {
			t.Errorf("%s: want %q to %q, the page has %q", tt.key, tt.least, tt.most, said)
		}
		name := tt.key[strings.LastIndex(tt.key, ".")+1:]
		for value, good := range map[string]bool{tt.least: true, tt.most: true, tt.below: false, tt.above: false} {
			if value == "" || value == "up" {
				continue
			}
			setting := name + ": " + value
			if strings.Contains(tt.key, ".rotate.") {
				setting = "rotate: {" + setting + "}"
			}
			if _, _, err := config.Parse("test", fmt.Appendf(nil, tt.config, setting)); (err == nil) != good {
				t.Errorf("%s: %s is good: %v, by the page %v", tt.key, value, err == nil, good)
			}
		}
	}
}
