package format

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestAppendJSON(t *testing.T) {
	t.Parallel()
	denial := `"time":"2026-11-23T13:35:56.605Z","serial":590,"type":1420,"event":"access","dialect":"mainline",` +
		`"verdict":"denied","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"bash","path":"/usr/local/bin/tool",` +
		`"dev":"vda2","rule":"DEFAULT op=EXECUTE action=DENY","enforcing":true,"pid":2204,"ino":1024,` +
		`"rule_kind":"op_default","action":"DENY"`
	tests := []struct {
		name string
		ev   *ipe.Event
		c    Context
		want string
	}{
		{"denied", denied(), Context{}, `{` + denial + `}`},
		{"denied in a spool", denied(), *inSpool(), `{"spool":"4f3a9c21d06b7e58","seq":12345,` + denial +
			`,"host":"node7","boot_id":"0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7"}`},
		{"failed load", failedLoad(), Context{}, `{"time":"2026-11-23T14:37:03.360Z","serial":27,"type":1422,` +
			`"event":"policy_load","dialect":"mainline","auid":1000,"ses":2,"lsm":"ipe","res":false,"errno":-74,"error":"EBADMSG"}`},
		{"loaded", loaded(), Context{}, `{"time":"2026-11-23T14:37:03.360Z","serial":27,"type":1422,` +
			`"event":"policy_load","dialect":"mainline","policy_name":"we\"ird\u001b","policy_version":"1.0.0",` +
			`"policy_digest":"sha256:61468d","auid":1000,"ses":2,"lsm":"ipe","res":true,"errno":0}`},
		{"switched off", switchedOff(), Context{Raw: true}, `{"time":"2026-11-23T13:35:56.605Z","serial":11,"type":1404,` +
			`"event":"enforcement","dialect":"mainline","enforcing":false,"old_enforcing":true,"auid":1000,"ses":3,"lsm":"ipe","res":true,` +
			`"raw":"audit(1795440956.605:11): enforcing=0 old_enforcing=1 auid=1000 ses=3 enabled=1 old-enabled=1 lsm=ipe res=1"}`},
		{"unparsed", unparsed(), Context{}, `{"time":"2026-11-23T13:35:56.605Z","serial":12,"type":1420,` +
			`"event":"unparsed","dialect":"mainline","raw":"audit(1795440956.605:12): ipe_op=\u001b[31m` + "\ufffd" + ` rubbish",` +
			`"raw_hex":"617564697428313739353434303935362E3630353A3132293A206970655F6F703D1B5B33316DFF2072756262697368"}`},
		{"lost", lost(), Context{}, `{"time":"2026-11-23T13:35:57.000Z","event":"lost","count":12,"accuracy":"at_least",` +
			`"stage":"kernel","since":"2026-11-23T13:35:56.000Z","until":"2026-11-23T13:35:57.000Z","first_seq":5,"last_seq":16}`},
		{"started", started(), Context{}, `{"time":"2026-11-23T13:35:50.000Z","event":"started","enforcing":true,` +
			`"policy_name":"lab","policy_version":"1.0.0","policy_digest":"sha256:6146",` +
			`"version":"1.0.0","kernel":"6.12.117","ipe_status":"active","success_audit":false}`},
		{"hostile", hostile(), Context{}, `{"time":"2026-11-23T13:35:56.605Z","serial":590,"type":1420,"event":"access","dialect":"mainline",` +
			`"verdict":"allowed","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"a\u000ab\u0000c",` +
			`"path":"/tmp/\"x\\ ]\u001b[2J` + "\ufffd" + `\u0085\u202e\u2028` + "\ufffd\U0001f600" + ` (deleted)",` +
			`"path_hex":"2F746D702F22785C205D1B5B324AFFC285E280AEE280A8EFBFBDF09F9880202864656C6574656429",` +
			`"dev":"vda2","rule":"op=EXECUTE dmverity_roothash=\"sha256\":26C6 action=ALLOW","enforcing":true,"pid":2204,"ino":1024,` +
			`"rule_kind":"rule","action":"ALLOW","rule_properties":["intended_pathname=/a` + "\ufffd" + `b","x=\u0007"],` +
			`"rule_properties_hex":["696E74656E6465645F706174686E616D653D2F61FE62","783D07"],` +
			`"extra":{"k":"\"v 1\"","k#2":"2` + "\ufffd" + `","k#2_hex":"32FF","#6B0A":"","#6B5F686578":"00"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(AppendJSON(nil, tt.ev, &tt.c))
			if diff := cmp.Diff(tt.want+"\n", got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestErrorIsTheNameOfTheNumber(t *testing.T) {
	t.Parallel()
	for errno, want := range map[int64]string{
		0: "", -74: "EBADMSG", 74: "EBADMSG", -95: "EOPNOTSUPP", -4000: "", math.MinInt64: "", math.MaxInt64: "",
	} {
		if got := errorName(&ipe.Event{Has: ipe.HasErrno, Errno: errno}); got != want {
			t.Errorf("%d: got %q, want %q", errno, got, want)
		}
	}
}

// What a Context remembers of one event must not show in the next.
func TestContextsThatChangeAreWrittenAsIfNew(t *testing.T) {
	t.Parallel()
	ev := &ipe.Event{Kind: ipe.KindAccess, Has: ipe.HasStamp, Time: 1795440938497}
	var used Context
	for _, names := range [][2]string{
		{}, {"web1"}, {"web1", "b1"}, {"web1", "b1"}, {"web1", "b2"}, {"", "b2"}, {"web2", "b2"}, {"b2", "web2"}, {}, {},
	} {
		next := Context{Identity: Identity{Host: []byte(names[0]), BootID: []byte(names[1])}}
		used.Identity = next.Identity
		ev.Time += 400
		for name, f := range map[string]Func{"json": AppendJSON, "journal": AppendJournal, "text": AppendText} {
			got, want := f(nil, ev, &used), f(nil, ev, &next)
			if !bytes.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestClockWritesInstants(t *testing.T) {
	t.Parallel()
	var c clock // the same for all: what it remembers must not show
	tests := []struct {
		ms   int64
		want string
	}{
		{0, "1970-01-01T00:00:00.000Z"},
		{999, "1970-01-01T00:00:00.999Z"},
		{1000, "1970-01-01T00:00:01.000Z"},
		{0, "1970-01-01T00:00:00.000Z"},
		{1795440938497, "2026-11-23T13:35:38.497Z"},
		{1795440938007, "2026-11-23T13:35:38.007Z"},
		{951782399999, "2000-02-28T23:59:59.999Z"},
		{951782400000, "2000-02-29T00:00:00.000Z"},
		{4107542400000, "2100-03-01T00:00:00.000Z"},
		{253402300799999, "9999-12-31T23:59:59.999Z"},
		{253402300800000, "+10000-01-01T00:00:00.000Z"},
		{-1, "1969-12-31T23:59:59.999Z"},
		{-62167219200001, "-0001-12-31T23:59:59.999Z"},
		{1<<63 - 1, "+292278994-08-17T07:12:55.807Z"},
		{-1 << 63, "-292275055-05-16T16:47:04.192Z"},
	}
	for _, tt := range tests {
		if got := string(c.append(nil, tt.ms)); got != tt.want {
			t.Errorf("%d: got %s, want %s", tt.ms, got, tt.want)
		}
	}
}

func TestClockAgreesWithPackageTime(t *testing.T) {
	t.Parallel()
	var c clock
	const step = 86400000*13 + 12345678 // some 13 days: every month and hour comes up
	for ms := int64(0); ms < year10000; ms += step {
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(c.append(nil, ms)); got != want {
			t.Fatalf("%d: got %s, want %s", ms, got, want)
		}
	}
}

// member is one member of a JSON object. The standard library's maps would
// hide a member that is there twice.
type member struct {
	name  string
	value any // string, json.Number, bool, []any or []member
}

// parse reads one object, strictly.
func parse(line []byte) ([]member, error) {
	if !utf8.Valid(line) {
		return nil, fmt.Errorf("not UTF-8: %q", line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	v, err := parseValue(d)
	if err != nil {
		return nil, fmt.Errorf("%w in %q", err, line)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value in %q", line)
	}
	return v.([]member), nil
}

func parseValue(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		var object []member
		seen := map[string]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			if seen[name.(string)] {
				return nil, fmt.Errorf("member %q twice", name)
			}
			seen[name.(string)] = true
			v, err := parseValue(d)
			if err != nil {
				return nil, err
			}
			object = append(object, member{name.(string), v})
		}
		_, err = d.Token()
		return object, err
	case json.Delim('['):
		var list []any
		for d.More() {
			v, err := parseValue(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	return tok, nil
}

// bytesOf gets back the bytes of a string from KEY and KEY_hex.
func bytesOf(members []member, key string) ([]byte, error) {
	i := slices.IndexFunc(members, func(m member) bool { return m.name == key })
	if i < 0 {
		return nil, fmt.Errorf("no %q", key)
	}
	if i+1 < len(members) && members[i+1].name == key+"_hex" {
		return unhex(members[i+1].value)
	}
	return []byte(members[i].value.(string)), nil
}

func unhex(v any) ([]byte, error) {
	s := v.(string)
	if s != strings.ToUpper(s) {
		return nil, fmt.Errorf("hex %q in lower case", s)
	}
	return hex.DecodeString(s)
}

// extraOf gets back the extra keys, as AppendJSON documents their names.
func extraOf(object []member) ([]ipe.KeyValue, error) {
	var extra []ipe.KeyValue
	for i := 0; i < len(object); i++ {
		name := object[i].name
		kv := ipe.KeyValue{Value: []byte(object[i].value.(string))}
		if i+1 < len(object) && object[i+1].name == name+"_hex" {
			i++
			var err error
			if kv.Value, err = unhex(object[i].value); err != nil {
				return nil, err
			}
		}
		odd := strings.HasPrefix(name, "#")
		name = strings.TrimPrefix(name, "#")
		if key, pos, ok := strings.Cut(name, "#"); ok {
			if n, err := strconv.Atoi(pos); err != nil || n != len(extra)+1 {
				return nil, fmt.Errorf("position %q of key %d", pos, len(extra)+1)
			}
			name = key
		}
		kv.Key = []byte(name)
		if odd {
			var err error
			if kv.Key, err = unhex(name); err != nil {
				return nil, err
			}
		}
		extra = append(extra, kv)
	}
	return extra, nil
}

// checkReversible fails unless the line is sound JSON from which the strings of
// ev can be got back.
func checkReversible(t *testing.T, ev *ipe.Event) {
	t.Helper()
	line := AppendJSON(nil, ev, &Context{Raw: true})
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Fatalf("newlines in %q", line)
	}
	for _, r := range string(line[:len(line)-1]) {
		if unicode.IsControl(r) {
			t.Fatalf("control character %U in %q", r, line)
		}
	}
	members, err := parse(line)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]byte{"path": ev.Path, "raw": ev.Raw, "rule": ev.Rule} {
		if got, err := bytesOf(members, key); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: got %q, %v, want %q in %s", key, got, err, want, line)
		}
	}
	var got []ipe.KeyValue
	if i := slices.IndexFunc(members, func(m member) bool { return m.name == "extra" }); i >= 0 {
		if got, err = extraOf(members[i].value.([]member)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(ev.Extra, got, equateBytes); diff != "" {
		t.Fatalf("extra -want +got:\n%s\nin %s", diff, line)
	}
	var props []string
	for _, m := range members {
		if m.name == "rule_properties" || m.name == "rule_properties_hex" {
			props = props[:0]
			for _, v := range m.value.([]any) {
				if m.name == "rule_properties_hex" {
					b, err := unhex(v)
					if err != nil {
						t.Fatal(err)
					}
					v = string(b)
				}
				props = append(props, v.(string))
			}
		}
	}
	if len(props) != len(ev.RuleProperties) {
		t.Fatalf("%d rule properties, want %d in %s", len(props), len(ev.RuleProperties), line)
	}
	for i, want := range ev.RuleProperties {
		if props[i] != string(want) {
			t.Fatalf("rule property %q, want %q in %s", props[i], want, line)
		}
	}
}

var equateBytes = cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })

func TestAppendJSONManyExtraKeys(t *testing.T) {
	t.Parallel()
	ev := denied()
	for i := range 3 * maxExtraCompared {
		ev.Extra = append(ev.Extra, ipe.KeyValue{Key: []byte("k" + strconv.Itoa(i%50)), Value: []byte("v")})
	}
	checkReversible(t, ev)
}

func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("/bin/\"sh\\"), []byte("k"), []byte("k"), []byte("k_hex"), []byte("v"))
	f.Add([]byte("\xff\xc2\x85\xed\xa0\x80"), []byte("#2"), []byte("#"), []byte(""), []byte("\xf0\x9f\x98"))
	f.Add([]byte("a\x00\n\x7f"), []byte("k#2"), []byte("k"), []byte("#6B"), []byte("\xe2\x80\xa8"))
	f.Fuzz(func(t *testing.T, a, k1, k2, k3, v []byte) {
		ev := denied()
		ev.Path, ev.Rule, ev.Raw = a, v, bytes.Join([][]byte{a, v}, k1)
		ev.RuleProperties = [][]byte{a, v}
		for _, k := range [][]byte{k1, k2, k3, append(bytes.Clone(k1), "_hex"...), append(bytes.Clone(k2), "#2"...)} {
			ev.Extra = append(ev.Extra, ipe.KeyValue{Key: k, Value: v}, ipe.KeyValue{Key: k, Value: a})
		}
		checkReversible(t, ev)
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	ev, c := denied(), inSpool()
	b.Run("append", func(b *testing.B) {
		buf := AppendJSON(nil, ev, c)
		b.ReportAllocs()
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			buf = AppendJSON(buf[:0], ev, c)
		}
	})
	// The same line by encoding/json, from strings that are ready made.
	b.Run("encoding", func(b *testing.B) {
		v := struct {
			Spool     string    `json:"spool"`
			Seq       uint64    `json:"seq"`
			Time      time.Time `json:"time"`
			Serial    uint64    `json:"serial"`
			Type      uint16    `json:"type"`
			Event     string    `json:"event"`
			Dialect   string    `json:"dialect"`
			Verdict   string    `json:"verdict"`
			Op        string    `json:"ipe_op"`
			Hook      string    `json:"ipe_hook"`
			Comm      string    `json:"comm"`
			Path      string    `json:"path"`
			Dev       string    `json:"dev"`
			Rule      string    `json:"rule"`
			Enforcing bool      `json:"enforcing"`
			PID       uint64    `json:"pid"`
			Ino       uint64    `json:"ino"`
			RuleKind  string    `json:"rule_kind"`
			Action    string    `json:"action"`
			Host      string    `json:"host"`
			BootID    string    `json:"boot_id"`
		}{}
		line := AppendJSON(nil, ev, c)
		if err := json.Unmarshal(line, &v); err != nil {
			b.Fatal(err)
		}
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		if err := enc.Encode(&v); err != nil || buf.String() != string(line) {
			b.Fatalf("%v, got %s, want %s", err, buf.Bytes(), line)
		}
		b.ReportAllocs()
		b.SetBytes(int64(buf.Len()))
		for b.Loop() {
			buf.Reset()
			if err := enc.Encode(&v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
