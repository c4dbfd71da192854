package auditrec

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCutStamp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       Stamp
		body       string
		ok         bool
	}{
		{"ordinary", "audit(1795440105.125:24): a=1", Stamp{1795440105125, 24}, "a=1", true},
		{"empty body", "audit(1795440105.125:24): ", Stamp{1795440105125, 24}, "", true},
		{"trimmed empty body", "audit(1.001:1):", Stamp{1001, 1}, "", true},
		{"second blank is the body's", "audit(1.001:1):  a=1", Stamp{1001, 1}, " a=1", true},
		{"largest serial", "audit(0.000:4294967295): x", Stamp{0, math.MaxUint32}, "x", true},
		{"largest time", "audit(9223372036854774.999:1): x", Stamp{9223372036854774999, 1}, "x", true},
		{name: "time too large", text: "audit(9223372036854775.000:1): x"},
		{name: "seconds too long", text: "audit(11111111111111111111.000:1): x"},
		{name: "serial too long", text: "audit(1.000:11111111111111111111): x"},
		{name: "two digits of milliseconds", text: "audit(1.00:1): x"},
		{name: "four digits of milliseconds", text: "audit(1.0000:1): x"},
		{name: "no seconds", text: "audit(.000:1): x"},
		{name: "no serial", text: "audit(1.000:): x"},
		{name: "negative", text: "audit(-1.000:1): x"},
		{name: "cut", text: "audit(1.000:1)"},
		{name: "other word", text: "Audit(1.000:1): x"},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !tt.ok {
				tt.body = tt.text
			}
			s, body, ok := CutStamp([]byte(tt.text))
			if s != tt.want || string(body) != tt.body || ok != tt.ok {
				t.Errorf("got %v %q %v, want %v %q %v", s, body, ok, tt.want, tt.body, tt.ok)
			}
			for n := range len(tt.text) {
				CutStamp([]byte(tt.text[:n])) // does not panic
			}
		})
	}
}

func TestTrimEnd(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing to trim", `a=1 b="c"`, `a=1 b="c"`},
		{"NUL, line end, blanks", "a=1 \x00 \r\n\x00", "a=1"},
		{"only that", " \x00\n", ""},
		{"interpreted fields", "auid=0\x1dAUID=\"root\" UID=\"some one\"\n", "auid=0"},
		{"raw policy name", "policy_name=\"a\x1dUID=b\" auid=0", "policy_name=\"a\x1dUID=b\" auid=0"},
		{"raw policy name and interpreted fields", "policy_name=\"a\x1dUID=b\" auid=0\x1dAUID=\"root\"", "policy_name=\"a\x1dUID=b\" auid=0"},
		{"torn interpretation", "auid=0\x1dAUID=\"ro", "auid=0"},
		{"word behind the interpretation", "auid=0\x1dAUID=\"root\" x", "auid=0\x1dAUID=\"root\" x"},
		{"empty interpretation", "auid=0\x1d\n", "auid=0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(TrimEnd([]byte(tt.text))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// field is a key and its value, or a word that is no field, and has no value.
type field struct {
	Key, Value string
	Field      bool
}

// cutAll cuts a whole body.
func cutAll(body []byte) (fields []field, torn bool) {
	for {
		key, rest, ok := CutKey(body)
		if !ok {
			if len(key) == 0 && len(rest) == 0 {
				return fields, false
			}
			fields = append(fields, field{Key: string(key)})
			body = rest
			continue
		}
		var v Value
		if v, body, ok = CutValue(rest); !ok {
			return fields, true
		}
		fields = append(fields, field{string(key), string(v), true})
	}
}

func TestCutKeyAndValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []field
		torn       bool
	}{
		{"bare and quoted", `a=1 b="c"`, []field{{"a", "1", true}, {"b", `"c"`, true}}, false},
		{"blanks around", `  a=1   b=2  `, []field{{"a", "1", true}, {"b", "2", true}}, false},
		{"blanks and quotes in quotes", `a="b"c d" e=1`, []field{{"a", `"b"c d"`, true}, {"e", "1", true}}, false},
		{"empty values", `a= b="" c=`, []field{{"a", "", true}, {"b", `""`, true}, {"c", "", true}}, false},
		{"a single quote character", `a=""" b=1`, []field{{"a", `"""`, true}, {"b", "1", true}}, false},
		{"equals sign in a value", `a=b=c d="e=f"`, []field{{"a", "b=c", true}, {"d", `"e=f"`, true}}, false},
		{"quote in a bare value", `a=b"c d`, []field{{"a", `b"c`, true}, {Key: "d"}}, false},
		{"words", `x a=1 y`, []field{{Key: "x"}, {"a", "1", true}, {Key: "y"}}, false},
		{"no key", `=1 a=1`, []field{{Key: "=1"}, {"a", "1", true}}, false},
		{"quote in a key", `a"b=1 c=2`, []field{{Key: `a"b=1`}, {"c", "2", true}}, false},
		{"quote never closed", `a=1 b="c d`, []field{{"a", "1", true}}, true},
		{"only a quote", `a="`, nil, true},
		{"tab is no blank", "a=1\tb=2", []field{{"a", "1\tb=2", true}}, false},
		{"nothing", ``, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, torn := cutAll([]byte(tt.body))
			if diff := cmp.Diff(tt.want, got); diff != "" || torn != tt.torn {
				t.Errorf("torn %v, want %v; fields (-want +got):\n%s", torn, tt.torn, diff)
			}
		})
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value  string
		text   string
		quoted bool
		absent bool
	}{
		{``, ``, false, true},
		{`?`, `?`, false, true},
		{`"?"`, `?`, true, false},
		{`""`, ``, true, false},
		{`"a"b"`, `a"b`, true, false},
		{`ABCD`, `ABCD`, false, false},
	}
	for _, tt := range tests {
		v := Value(tt.value)
		if got := string(v.Text()); got != tt.text || v.Quoted() != tt.quoted || v.Absent() != tt.absent {
			t.Errorf("%s: text %q quoted %v absent %v", tt.value, got, v.Quoted(), v.Absent())
		}
	}
	if v := Value(`""`).Text(); v == nil {
		t.Error("an empty string became an absent one")
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	uints := map[string]uint64{"0": 0, "007": 7, "18446744073709551615": math.MaxUint64}
	for text, want := range uints {
		if n, ok := Uint([]byte(text)); !ok || n != want {
			t.Errorf("Uint(%q) = %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "-1", "+1", "1a", " 1", "18446744073709551616", "99999999999999999999", "100000000000000000000"} {
		if n, ok := Uint([]byte(text)); ok {
			t.Errorf("Uint(%q) = %d", text, n)
		}
	}
	ints := map[string]int64{"0": 0, "-17": -17, "-0": 0, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64}
	for text, want := range ints {
		if n, ok := Int([]byte(text)); !ok || n != want {
			t.Errorf("Int(%q) = %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "-", "--1", "+1", "9223372036854775808", "-9223372036854775809"} {
		if n, ok := Int([]byte(text)); ok {
			t.Errorf("Int(%q) = %d", text, n)
		}
	}
}

func TestUntrustedStrings(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, str, want string }{
		{"plain", `/usr/bin/a-b_c\'=`, `"/usr/bin/a-b_c\'="`},
		{"empty", ``, `""`},
		{"looks like hex", `DEADBEEF`, `"DEADBEEF"`},
		{"blank", `a b`, `612062`},
		{"quote", `a"`, `6122`},
		{"control", "\x1f", `1F`},
		{"tilde is the last that is quoted", "~", `"~"`},
		{"DEL", "\x7f", `7F`},
		{"UTF-8", "é", `C3A9`},
	}
	for _, tt := range tests {
		got := AppendUntrusted([]byte("kept"), []byte(tt.str))
		if string(got) != "kept"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got[4:], tt.want)
		}
	}
	for _, text := range []string{"", "A", "ab", "0x", "AG", "4 ", "ABC"} {
		if got, ok := AppendHex([]byte("kept"), []byte(text)); ok || string(got) != "kept" {
			t.Errorf("AppendHex(%q) = %q, %v", text, got, ok)
		}
	}
}
