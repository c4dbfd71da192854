package format

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// wireField is a field of a message of protobuf.
type wireField struct {
	number, wire uint64
	n            uint64 // of a number
	bytes        []byte
}

// wireFields reads a message, slowly.
func wireFields(b []byte) (list []wireField, err error) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("no tag: %x", b)
		}
		b = b[n:]
		f := wireField{number: tag >> 3, wire: tag & 7}
		switch f.wire {
		case wireVarint:
			f.n, n = binary.Uvarint(b)
		case wireFixed64:
			if n = 8; len(b) < n {
				return nil, fmt.Errorf("cut: %x", b)
			}
			f.n = binary.LittleEndian.Uint64(b)
		case wireBytes:
			size, m := binary.Uvarint(b)
			if m <= 0 || size > uint64(len(b)-m) {
				return nil, fmt.Errorf("a length beyond the end: %x", b)
			}
			f.bytes, n = b[m:m+int(size)], m+int(size)
		default:
			return nil, fmt.Errorf("wire type %d", f.wire)
		}
		if n <= 0 {
			return nil, fmt.Errorf("no number: %x", b)
		}
		b = b[n:]
		list = append(list, f)
	}
	return list, nil
}

// otlpValue returns an AnyValue.
func otlpValue(b []byte) (any, error) {
	fields, err := wireFields(b)
	if err != nil || len(fields) != 1 {
		return nil, fmt.Errorf("%d values, %v", len(fields), err)
	}
	switch f := fields[0]; f.number {
	case 1:
		if !utf8.Valid(f.bytes) {
			return nil, fmt.Errorf("not UTF-8: %q", f.bytes)
		}
		return string(f.bytes), nil
	case 2:
		return f.n == 1, nil
	case 3:
		return int64(f.n), nil
	case 5:
		items, err := wireFields(f.bytes)
		list := []any{}
		for _, item := range items {
			v, err := otlpValue(item.bytes)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, err
	default:
		return nil, fmt.Errorf("a value of field %d", f.number)
	}
}

// otlpRecord is what a request of one record says.
type otlpRecord struct {
	Resource, Attributes map[string]any
	Scope                [2]string
	Time, Observed       uint64
	Severity             uint64
	SeverityText         string
	Body                 any
	EventName            string
}

func readOTLP(b []byte) (r otlpRecord, err error) {
	r.Resource, r.Attributes = map[string]any{}, map[string]any{}
	one := func(b []byte, number uint64) []byte {
		fields, wrong := wireFields(b)
		i := slices.IndexFunc(fields, func(f wireField) bool { return f.number == number })
		if wrong != nil || i < 0 {
			err = fmt.Errorf("no field %d, %v", number, wrong)
			return nil
		}
		return fields[i].bytes
	}
	put := func(to map[string]any, b []byte) {
		name := string(one(b, 1))
		if _, ok := to[name]; ok {
			err = fmt.Errorf("%s is there twice", name)
		}
		var wrong error
		if to[name], wrong = otlpValue(one(b, 2)); wrong != nil {
			err = fmt.Errorf("%s: %w", name, wrong)
		}
	}
	logs := one(b, 1)
	resource, _ := wireFields(one(logs, 1))
	for _, f := range resource {
		put(r.Resource, f.bytes)
	}
	scope := one(logs, 2)
	r.Scope = [2]string{string(one(one(scope, 1), 1)), string(one(one(scope, 1), 2))}
	record, wrong := wireFields(one(scope, 2))
	if wrong != nil {
		return r, wrong
	}
	for _, f := range record {
		switch f.number {
		case 1:
			r.Time = f.n
		case 2:
			r.Severity = f.n
		case 3:
			r.SeverityText = string(f.bytes)
		case 5:
			r.Body, wrong = otlpValue(f.bytes)
		case 6:
			put(r.Attributes, f.bytes)
		case 11:
			r.Observed = f.n
		case 12:
			r.EventName = string(f.bytes)
		default:
			wrong = fmt.Errorf("field %d", f.number)
		}
		if wrong != nil {
			return r, wrong
		}
	}
	return r, err
}

func TestOTLPOfADenial(t *testing.T) {
	t.Parallel()
	c := inSpool()
	c.Received = 1795440956607123456
	o := OTLP{Version: "1.2.3", HostID: "6f1b", Kernel: "6.12.117"}
	got, err := readOTLP(o.Func()(nil, denied(), c))
	if err != nil {
		t.Fatal(err)
	}
	want := otlpRecord{
		Resource: map[string]any{
			"service.name": "ipe-auditd", "service.version": "1.2.3", "host.name": "node7", "host.id": "6f1b",
			"os.type": "linux", "os.version": "6.12.117",
		},
		Scope: [2]string{"github.com/ipe-auditd/ipe-auditd", "1.2.3"},
		Time:  1795440956605000000, Observed: 1795440956607123456, Severity: 17, SeverityText: "err", EventName: "ipe.access",
		Body: "DENIED EXECUTE BPRM_CHECK /usr/local/bin/tool comm=bash pid=2204 dev=vda2 ino=1024 rule: DEFAULT op=EXECUTE action=DENY",
		Attributes: map[string]any{
			"log.record.uid": "4f3a9c21d06b7e58:12345", "ipe.spool": "4f3a9c21d06b7e58", "ipe.seq": int64(12345),
			"ipe.serial": int64(590), "ipe.record.type": int64(1420), "ipe.dialect": "mainline", "ipe.verdict": "denied",
			"ipe.op": "EXECUTE", "ipe.hook": "BPRM_CHECK", "ipe.comm": "bash", "process.pid": int64(2204),
			"file.path": "/usr/local/bin/tool", "ipe.dev": "vda2", "file.inode": "1024",
			"security_rule.name": "DEFAULT op=EXECUTE action=DENY", "ipe.rule.kind": "op_default", "ipe.action": "DENY",
			"ipe.enforcing": true, "ipe.boot_id": "0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// asOTLP is what a value in JSON is as an attribute.
func asOTLP(key string, v any) any {
	switch v := v.(type) {
	case json.Number:
		if asString[key] {
			return v.String()
		}
		n, _ := v.Int64()
		return n
	case []any:
		list := []any{}
		for _, item := range v {
			list = append(list, asOTLP("", item))
		}
		return list
	}
	return v
}

// Whatever JSON has of an event, the record has: a new key needs no line for it.
func TestOTLPHasEveryKeyOfJSON(t *testing.T) {
	t.Parallel()
	for name, ev := range all() {
		for _, raw := range []bool{false, true} {
			c := inSpool()
			c.Raw, c.Partial, c.PrevSeq = raw, raw, 7
			var object map[string]any
			d := json.NewDecoder(strings.NewReader(string(AppendJSON(nil, ev, c))))
			d.UseNumber()
			if err := d.Decode(&object); err != nil {
				t.Fatal(err)
			}
			got, err := readOTLP(OTLP{}.Func()(nil, ev, c))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			want := map[string]any{}
			for key, v := range object {
				base, isHex := strings.CutSuffix(key, "_hex")
				switch attribute := AttributeName(base); {
				case key == "extra":
					for k, v := range v.(map[string]any) {
						want["ipe.extra."+k] = v
					}
				case key == "lsm" && v == "ipe":
				case attribute == "":
				case isHex:
					want[attribute+"_hex"] = asOTLP(base, v)
				default:
					want[attribute] = asOTLP(base, v)
				}
			}
			want["log.record.uid"] = "4f3a9c21d06b7e58:12345"
			if diff := cmp.Diff(want, got.Attributes); diff != "" {
				t.Errorf("%s, raw %v: -want +got:\n%s", name, raw, diff)
			}
			if want := "ipe." + ev.Kind.String(); got.EventName != want {
				t.Errorf("%s is called %q", name, got.EventName)
			}
			if n, known := got.Time, ev.Has&ipe.HasStamp != 0; n != uint64(ev.Time)*1e6 || (n != 0) != known {
				t.Errorf("%s is of %d", name, n)
			}
		}
	}
}

func TestNoTwoKeysOfAnEventAreOneAttribute(t *testing.T) {
	t.Parallel()
	for kind := ipe.Kind(0); kind.String() != ""; kind++ {
		of := map[string]string{"log.record.uid": "uid"}
		for _, k := range Keys() {
			name := AttributeName(k.Name)
			if name == "" || !k.In.Has(kind) {
				continue
			}
			if other := of[name]; other != "" {
				t.Errorf("of %v, %s and %s are both %s", kind, other, k.Name, name)
			}
			of[name] = k.Name
			if k.attribute == nil {
				t.Errorf("%s is never written as %s: give its value an attribute", k.Name, name)
			}
		}
	}
}

func TestUIDNamesWhatIsNoEntry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ev   *ipe.Event
		id   Identity
		want string
	}{
		{denied(), Identity{Spool: 1, Seq: 2}, "0000000000000001:2"},
		{repeated(), Identity{Spool: 1}, "0000000000000001:5-1016"},
		{lost(), Identity{Spool: 1}, "0000000000000001:5-16"},
		{lost(), Identity{Spool: 1, Seq: 17}, "0000000000000001:17"},
		{denied(), Identity{}, ""},
		{denied(), Identity{Spool: 1}, ""},
		{lost(), Identity{}, ""},
	} {
		if got := string(tt.id.AppendUID(nil, tt.ev)); got != tt.want {
			t.Errorf("%v of %+v: got %q, want %q", tt.ev.Kind, tt.id, got, tt.want)
		}
	}
}

// Lengths of one, two and three octets.
func TestFieldsOfAnyLength(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 129, 16383, 16384, 70000} {
		dst, at := openField([]byte("before"), 15)
		dst = append(dst, strings.Repeat("x", n)...)
		dst = closeField(dst, at)
		fields, err := wireFields(dst[len("before"):])
		if err != nil || len(fields) != 1 || string(fields[0].bytes) != strings.Repeat("x", n) || string(dst[:6]) != "before" {
			t.Errorf("%d bytes: %s, %v", n, hex.EncodeToString(dst[:min(len(dst), 30)]), err)
		}
	}
}

func FuzzOTLP(f *testing.F) {
	f.Add([]byte("/tmp/\xff"), []byte("k"), uint64(1<<63))
	f.Fuzz(func(t *testing.T, s, key []byte, n uint64) {
		ev := hostile()
		ev.Path, ev.Ino = s, n
		ev.Extra = append(ev.Extra, ipe.KeyValue{Key: key, Value: s})
		r, err := readOTLP(OTLP{}.Func()(nil, ev, inSpool()))
		if err != nil {
			t.Fatal(err)
		}
		path, ok := r.Attributes["file.path_hex"].(string)
		if !ok {
			path = hex.EncodeToString([]byte(r.Attributes["file.path"].(string)))
		}
		if !strings.EqualFold(path, hex.EncodeToString(s)) {
			t.Errorf("got path %s of %q", path, s)
		}
	})
}

// What is kept of one host is not written of another, nor by another Func.
func TestOTLPResourcesThatChangeAreWrittenAsIfNew(t *testing.T) {
	t.Parallel()
	c := inSpool()
	for i, f := range []Func{OTLP{Version: "1"}.Func(), OTLP{Version: "2"}.Func(), OTLP{Version: "1"}.Func()} {
		for _, host := range []string{"a", "b", "", "b"} {
			c.Host = []byte(host)
			fresh := inSpool()
			fresh.Host = c.Host
			if got, want := f(nil, denied(), c), f(nil, denied(), fresh); string(got) != string(want) {
				t.Errorf("%d, %q: got %q, want %q", i, host, got, want)
			}
		}
	}
}
