package config

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sinks"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// AppendYAML appends c as a file of which [Parse] makes the same configuration:
// every key that applies, defaults too. Keys that a sink could not be given, such
// as ca without TLS, are left out.
func (c *Config) AppendYAML(dst []byte) []byte {
	_, text := newShower(c)
	return append(dst, text...)
}

// AppendJSON appends c as one JSON object, which says the same as the YAML.
func (c *Config) AppendJSON(dst []byte) []byte {
	s, _ := newShower(c)
	return append(s.value(dst, reflect.ValueOf(c).Elem(), "", true), '\n')
}

// newShower returns what writes c, and the file.
func newShower(c *Config) (*shower, []byte) {
	s := &shower{config: c, absent: make(map[string]bool)}
	for {
		text := s.show()
		_, _, err := Parse("", text)
		var wrong *schema.Error
		if !errors.As(err, &wrong) || !s.leaveOut(wrong.Problems) {
			return s, text
		}
	}
}

// shower writes a configuration.
type shower struct {
	config *Config
	absent map[string]bool // keys that do not apply, with where they are
	lines  []string        // the key of each line
	unset  map[string]bool // keys with the default, or with the zero value
}

// leaveOut leaves out the keys that the problems are about. It reports whether
// that can help: what was set is never left out.
func (s *shower) leaveOut(problems []schema.Problem) bool {
	helped := false
	for _, p := range problems {
		if p.Line < 1 || p.Line > len(s.lines) {
			continue
		}
		if key := s.lines[p.Line-1]; s.unset[key] && !s.absent[key] {
			s.absent[key] = true
			helped = true
		}
	}
	return helped
}

// show returns the file, a key a line.
func (s *shower) show() []byte {
	s.lines, s.unset = nil, make(map[string]bool)
	var dst []byte
	line := func(key, text string) {
		dst = append(append(dst, text...), '\n')
		s.lines = append(s.lines, key)
	}
	for key, section := range fields(reflect.ValueOf(s.config).Elem()) {
		switch {
		case section.Kind() == reflect.Struct:
			line(key, key+":")
			for k, v := range fields(section) {
				line(key+"."+k, "  "+k+": "+string(s.value(nil, v, "", false)))
			}
		case isNil(section):
		case section.Kind() != reflect.Slice:
			line(key, key+": "+string(s.value(nil, section, key, false)))
		case section.Len() == 0:
			line(key, key+": []")
		default:
			line(key, key+":")
			for i := range section.Len() {
				begin, defaults := "  - ", s.defaults(section.Index(i))
				for k, v := range fields(section.Index(i)) {
					name := fmt.Sprintf("sinks[%d].%s", i, k)
					s.unset[name] = v.IsZero() || reflect.DeepEqual(v.Interface(), defaults[k])
					if s.absent[name] || isNil(v) {
						continue
					}
					line(name, begin+k+": "+string(s.value(nil, v, name, false)))
					begin = "    "
				}
			}
		}
	}
	return dst
}

// defaults returns what a sink of the type of this one has unless it is told
// otherwise, by key.
func (s *shower) defaults(sink reflect.Value) map[string]any {
	all := make(map[string]any)
	fresh := Sink{Settings: sinks.Settings(sink.Interface().(Sink).Type)}
	for k, v := range fields(reflect.ValueOf(fresh)) {
		all[k] = v.Interface()
	}
	return all
}

// fields yields the keys of a struct with their values, in its order.
func fields(v reflect.Value) func(yield func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) {
		for f := range v.Type().Fields() {
			tag, ok := f.Tag.Lookup("yaml")
			key, _, _ := strings.Cut(tag, ",")
			value := v.FieldByIndex(f.Index)
			switch {
			case !ok || key == "-" || !f.IsExported():
			case key == "": // inline
				for value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer {
					value = value.Elem()
				}
				for k, v := range fields(value) {
					if !yield(k, v) {
						return
					}
				}
			case !yield(key, value):
				return
			}
		}
	}
}

func isNil(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil()
}

// value appends v, which stands at the place name, in the flow style of YAML, or
// as JSON.
func (s *shower) value(dst []byte, v reflect.Value, name string, asJSON bool) []byte {
	switch x := v.Interface().(type) {
	case units.Size:
		return appendText(dst, x.String(), asJSON)
	case Interval:
		return appendText(dst, x.String(), asJSON)
	case time.Duration:
		return appendText(dst, units.FormatDuration(x), asJSON)
	case fs.FileMode:
		return strconv.AppendQuote(dst, fmt.Sprintf("%04o", x.Perm()))
	}
	switch v.Kind() {
	case reflect.String:
		return appendText(dst, v.String(), asJSON)
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(dst, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case reflect.Pointer:
		return s.value(dst, v.Elem(), name, asJSON)
	case reflect.Slice:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = s.value(dst, v.Index(i), fmt.Sprintf("%s[%d]", name, i), asJSON)
		}
		return append(dst, ']')
	case reflect.Struct:
		dst = append(dst, '{')
		first := true
		for k, v := range fields(v) {
			at := strings.TrimPrefix(name+"."+k, ".")
			if isNil(v) || s.absent[at] {
				continue
			}
			if !first {
				dst = append(dst, ", "...)
			}
			first = false
			if asJSON {
				dst = strconv.AppendQuote(dst, k)
			} else {
				dst = append(dst, k...)
			}
			dst = s.value(append(dst, ": "...), v, at, asJSON)
		}
		return append(dst, '}')
	}
	panic("config: no form for a " + v.Type().String())
}

// appendText appends a text, in quotes where it needs them.
func appendText(dst []byte, s string, asJSON bool) []byte {
	plain := regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./@-]*$|^[0-9]+[A-Za-z][A-Za-z0-9.]*$`)
	words := []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
	if asJSON || !plain.MatchString(s) || slices.Contains(words, strings.ToLower(s)) {
		return appendQuoted(dst, s)
	}
	return append(dst, s...)
}

// appendQuoted appends s in the quotes of JSON, which are those of YAML too.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"')
}
