package format

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// slow encodes events by the table of the keys, key by key. The generated code is
// held to it.
type slow struct {
	form  string // json, sd, journal, env
	guard guard
	all   bool // also keys whose In does not have the kind
	dst   []byte
}

func (s *slow) keys(ev *ipe.Event, c *Context) []byte {
	f := &fields{ev, &c.Identity}
	for i := range keys {
		if k := &keys[i]; s.all || k.In.Has(ev.Kind) {
			s.key(k, f, c)
		}
	}
	return s.dst
}

func (s *slow) key(k *Key, f *fields, c *Context) {
	switch k.Name {
	case "spool":
		if f.Seq != 0 || f.Kind == ipe.KindRepeated {
			id := strconv.FormatUint(f.Spool, 16)
			s.plain(k, strings.Repeat("0", 16-len(id))+id)
		}
		return
	case "serial":
		if f.Has&ipe.HasStamp != 0 && f.HasRecord() {
			s.plain(k, strconv.FormatUint(f.Serial, 10))
		}
		return
	case "prev_seq":
		if f.Partial && f.Seq != 0 {
			s.plain(k, strconv.FormatUint(f.PrevSeq, 10))
		}
		return
	case "raw":
		if !c.Raw && f.Kind != ipe.KindUnparsed {
			return
		}
	case "host", "boot_id":
		if b := *k.at.(func(*fields) *[]byte)(f); len(b) == 0 {
			return
		}
	case "error":
		if name := errorName(f.Event); name != "" {
			s.plain(k, name)
		}
		return
	case "context":
		words := slices.Collect(f.Context.All)
		if f.Context != 0 && s.form == "json" {
			s.plain(k, `["`+strings.Join(words, `","`)+`"]`)
		} else if f.Context != 0 {
			s.plain(k, strings.Join(words, " "))
		}
		return
	case "extra":
		if len(f.Extra) != 0 {
			s.extra(k, f.Extra)
		}
		return
	}
	number := func(n uint64) {
		if k.has == 0 && n != 0 || f.Has&k.has != 0 {
			s.plain(k, strconv.FormatUint(n, 10))
		}
	}
	switch at := k.at.(type) {
	case func(*fields) *[]byte:
		if b := *at(f); b != nil {
			s.text(k, b)
		}
	case func(*fields) *[][]byte:
		if list := *at(f); len(list) != 0 {
			s.list(k, list)
		}
	case func(*fields) *uint16:
		number(uint64(*at(f)))
	case func(*fields) *uint32:
		number(uint64(*at(f)))
	case func(*fields) *uint64:
		number(*at(f))
	case func(*fields) *int64:
		if f.Has&k.has == 0 {
			break
		}
		if k.Type == TypeWord {
			s.plain(k, string(new(clock).append(nil, *at(f))))
		} else if n := strconv.FormatInt(*at(f), 10); s.form == "journal" && k.Name == "errno" {
			s.plain(k, strings.TrimPrefix(n, "-"))
		} else {
			s.plain(k, n)
		}
	case func(*fields) *ipe.Bool:
		if b := *at(f); b.Known() {
			s.plain(k, strconv.FormatBool(b == ipe.True))
		}
	default:
		word := reflect.ValueOf(k.at).Call([]reflect.Value{reflect.ValueOf(f)})[0].Elem().Interface().(interface{ String() string })
		if word.String() != "" {
			s.plain(k, word.String())
		}
	}
}

func (s *slow) str(parts ...string) {
	for _, p := range parts {
		s.dst = append(s.dst, p...)
	}
}

// name is the key as a field of the journal and as a variable.
func (s *slow) name(k *Key) string {
	if k.Name == "errno" && s.form == "journal" {
		return "ERRNO"
	}
	return "IPE_" + strings.ToUpper(strings.TrimPrefix(k.Name, "ipe_"))
}

// plain writes a value that needs no escaping.
func (s *slow) plain(k *Key, v string) {
	switch s.form {
	case "json":
		if k.Type == TypeWord {
			v = `"` + v + `"`
		}
		s.str(`,"`, k.Name, `":`, v)
	case "sd":
		s.str(" ", k.Name, `="`, v, `"`)
	case "journal":
		s.str(s.name(k), "=", v, "\n")
	case "env":
		s.str(s.name(k), "=", v, "\x00")
	}
}

func (s *slow) text(k *Key, b []byte) {
	switch s.form {
	case "json":
		v, valid := appendJSONString(nil, b)
		s.str(`,"`, k.Name, `":`, string(v))
		if !valid {
			s.str(`,"`, k.Name, `_hex":"`, string(appendHex(nil, b)), `"`)
		}
	case "sd":
		g := s.guard
		if k.Name == "rule" || k.Name == "rule_properties" {
			g = g.forRule()
		}
		v, whole := appendSDValue(nil, b, g)
		s.str(" ", k.Name, `="`, string(v), `"`)
		if !whole {
			s.str(" ", k.Name, `_hex="`, string(appendHex(nil, b)), `"`)
		}
	case "journal":
		if bytes.IndexByte(b, '\n') < 0 {
			s.str(s.name(k), "=", string(b), "\n")
		} else {
			s.str(s.name(k), "\n", string(binary.LittleEndian.AppendUint64(nil, uint64(len(b)))), string(b), "\n")
		}
	case "env":
		if len(b) <= maxVariable {
			s.str(s.name(k), "=", strings.ReplaceAll(string(b), "\x00", "\uFFFD"), "\x00")
		}
	}
}

func (s *slow) list(k *Key, list [][]byte) {
	if s.form != "json" {
		s.text(k, bytes.Join(list, []byte(" ")))
		return
	}
	v, valid := appendJSONList(nil, list)
	s.str(`,"`, k.Name, `":`, string(v))
	if !valid {
		s.str(`,"`, k.Name, `_hex":`, string(appendJSONHexList(nil, list)))
	}
}

func (s *slow) extra(k *Key, extra []ipe.KeyValue) {
	if s.form == "json" {
		s.str(`,"`, k.Name, `":`, string(appendJSONExtra(nil, extra)))
		return
	}
	var list [][]byte
	for _, kv := range extra {
		list = append(list, append(append(bytes.Clone(kv.Key), '='), kv.Value...))
	}
	s.text(k, bytes.Join(list, []byte(" ")))
}

// agree fails unless all forms write ev as the slow one does.
func agree(t rapid.TB, ev *ipe.Event, c *Context, all bool) {
	t.Helper()
	for _, form := range []struct {
		name  string
		guard guard
		got   []byte
	}{
		{"json", 0, appendJSONKeys(nil, ev, c)},
		{"sd", guardPriority, appendSDKeys(nil, ev, c, guardPriority)},
		{"sd", guardBlanks, appendSDKeys(nil, ev, c, guardBlanks)},
		{"journal", 0, appendJournalKeys(nil, ev, c)},
		{"env", 0, appendEnvKeys(nil, ev, c)},
	} {
		s := slow{form: form.name, guard: form.guard, all: all}
		if want := s.keys(ev, c); string(form.got) != string(want) {
			t.Errorf("%s of a %v:\n got %q\nwant %q", form.name, ev.Kind, form.got, want)
		}
	}
}

// TestFormsAgreeWithTheTable fills the fields of the keys at random, also those
// that no kind has.
func TestFormsAgreeWithTheTable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var (
			ev    ipe.Event
			c     Context
			bits  = rapid.Uint64()
			bytes = rapid.OneOf(
				rapid.SampledFrom([][]byte{nil, {}, []byte("a b<1>"), []byte("x\ny"), []byte("a\x00b\x00"), []byte("\"\\]\xff\u2028"), []byte("/usr/bin/tool")}),
				rapid.SliceOf(rapid.Byte()))
			f = &fields{&ev, &c.Identity}
		)
		ev.Kind = ipe.Kind(rapid.IntRange(0, 15).Draw(t, "kind"))
		ev.Has = ipe.Has(bits.Draw(t, "has"))
		for _, k := range keys {
			switch at := k.at.(type) {
			case nil:
			case func(*fields) *[]byte:
				*at(f) = bytes.Draw(t, k.Name)
			case func(*fields) *[][]byte:
				*at(f) = rapid.SliceOfN(bytes, 0, 3).Draw(t, k.Name)
			case func(*fields) *uint16:
				*at(f) = uint16(bits.Draw(t, k.Name))
			case func(*fields) *uint32:
				*at(f) = uint32(bits.Draw(t, k.Name))
			case func(*fields) *uint64:
				*at(f) = bits.Draw(t, k.Name)
			case func(*fields) *int64:
				*at(f) = rapid.Int64().Draw(t, k.Name)
			case func(*fields) *ipe.Kind: // above
			case func(*fields) *ipe.Bool:
				*at(f) = rapid.SampledFrom([]ipe.Bool{ipe.Unknown, ipe.False, ipe.True}).Draw(t, k.Name)
			default: // a word, or none, or a number that none has
				reflect.ValueOf(k.at).Call([]reflect.Value{reflect.ValueOf(f)})[0].Elem().SetUint(uint64(rapid.IntRange(0, 6).Draw(t, k.Name)))
			}
		}
		ev.Context = ipe.Contexts(rapid.Uint8Max(15).Draw(t, "context"))
		ev.Serial, c.Spool, c.Seq = bits.Draw(t, "serial"), bits.Draw(t, "spool"), rapid.Uint64Max(2).Draw(t, "seq")
		c.PrevSeq, c.Partial, c.Raw = bits.Draw(t, "prev_seq"), rapid.Bool().Draw(t, "partial"), rapid.Bool().Draw(t, "raw")
		for range rapid.IntRange(0, 3).Draw(t, "extra") {
			ev.Extra = append(ev.Extra, ipe.KeyValue{Key: bytes.Draw(t, "key"), Value: bytes.Draw(t, "value")})
		}
		agree(t, &ev, &c, false)
		ev.Serial++ // with what the Context remembers
		agree(t, &ev, &c, false)
	})
}

// TestEventsHaveNothingThatTheirKindDoesNotHave writes events by the whole table: no
// field may be set whose key does not have the kind, as it would not be written.
func TestEventsHaveNothingThatTheirKindDoesNotHave(t *testing.T) {
	t.Parallel()
	for _, ev := range all() {
		c := inSpool()
		c.Raw = true
		agree(t, ev, c, true)
	}
	files, err := filepath.Glob("../../pkg/ipe/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var d ipe.Decoder
	decoded := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			number, record, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
			n, err := strconv.ParseUint(strings.TrimPrefix(string(number), "type="), 10, 16)
			if err != nil {
				continue
			}
			var ev ipe.Event
			if class := d.Decode(&ev, uint16(n), record); class == ipe.ClassIPE {
				decoded++
				agree(t, &ev, inSpool(), true)
			}
		}
	}
	if decoded < 100 {
		t.Errorf("only %d records of %d files were decoded", decoded, len(files))
	}
}

func TestNumbersAreWrittenAsStrconvDoes(t *testing.T) {
	t.Parallel()
	check := func(n int64) {
		if got, want := string(appendInt(nil, n)), strconv.FormatInt(n, 10); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := string(appendUint(nil, uint64(n))), strconv.FormatUint(uint64(n), 10); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for n := int64(0); n >= 0 && n < math.MaxInt64/10; n = n*10 + 9 {
		check(n)
		check(n + 1)
		check(-n)
	}
	check(math.MaxInt64)
	check(math.MinInt64)
}
