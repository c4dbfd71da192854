package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestEveryKeyIsExercised compares the reference configuration, which has every
// key (internal/config), with what the daemons here are given.
func TestEveryKeyIsExercised(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/ipe-auditd.yaml")
	check(t, err)
	setting := regexp.MustCompile(`(?m)^( *)#([^ #\n])`) // commented out, but no prose
	all := keysOf(t, setting.ReplaceAll(text, []byte("$1$2")))
	if len(all) < 40 {
		t.Fatalf("only %d keys: the test is broken", len(all))
	}
	here := keysOf(t, []byte(configuration))
	maps.Copy(here, keysOf(t, []byte(dropIn)))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !here[key] && !elsewhere(t, key) {
			t.Errorf("%s is not exercised: give it to a sink here", key)
		}
	}
}

// elsewhere reports whether a key is of a part that is exercised by tests of its
// own, with real receivers, and is set there.
func elsewhere(t *testing.T, key string) bool {
	t.Helper()
	for part, folders := range map[string][]string{
		"sinks.nats": {"../engines", "../../internal/sink/nats"},
		"sinks.otlp": {"../engines", "../../internal/sink/otlp"},
		"seal":       {"../../internal/seal", "../../internal/daemon"},
	} {
		name, ok := strings.CutPrefix(key, part)
		if !ok {
			continue
		}
		name = strings.ReplaceAll(strings.TrimPrefix(name, "."), "_", "")
		if name == "" {
			return true
		}
		// In YAML, or as a field.
		set := regexp.MustCompile(`(?i)\b` + name + `("?:| =)`)
		for _, folder := range folders {
			files, err := filepath.Glob(folder + "/*_test.go")
			check(t, err)
			for _, file := range files {
				text, err := os.ReadFile(file)
				check(t, err)
				if set.Match(text) {
					return true
				}
			}
		}
	}
	return false
}

// keysOf returns the keys of a configuration: those of a sink behind its type,
// but for those that every type has.
func keysOf(t *testing.T, text []byte) map[string]bool {
	t.Helper()
	var root map[string]any
	check(t, yaml.Unmarshal(text, &root))
	keys := make(map[string]bool)
	for _, s := range root["sinks"].([]any) {
		s := s.(map[string]any)
		typ, own := s["type"].(string), make(map[string]any)
		for key, value := range s {
			if slices.Contains([]string{"name", "type", "match", "raw", "from", "coalesce", "omit"}, key) {
				collect("sinks."+key, value, keys)
			} else {
				own[key] = value
			}
		}
		collect("sinks."+typ, own, keys)
	}
	delete(root, "sinks")
	for section, value := range root {
		collect(section, value, keys)
	}
	return keys
}

func collect(name string, value any, into map[string]bool) {
	into[name] = true
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if key == "not" {
				v = nil // a selection in a selection
			}
			collect(name+"."+key, v, into)
		}
	case []any:
		for _, v := range value {
			collect(name, v, into)
		}
	}
}
