package auditrec

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The grammar of the package comment, as regular expressions: the second
// parser, obviously right. Regular expressions see runes, so the text is made
// Latin-1 first: one rune for each byte.
var (
	slowBlank  = regexp.MustCompile(`^ +`)
	slowKey    = regexp.MustCompile(`^([^ ="]+)=`)
	slowWord   = regexp.MustCompile(`^[^ ]+`)
	slowQuoted = regexp.MustCompile(`(?s)^(".*?")(?: |$)`)
	slowBare   = regexp.MustCompile(`^[^ ]*`)
)

func slowCutAll(body []byte) (fields []field, torn bool) {
	latin := make([]rune, len(body))
	for i, c := range body {
		latin[i] = rune(c)
	}
	text := string(latin)
	bytesOf := func(s string) string {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r))
		}
		return string(b)
	}
	for {
		text = text[len(slowBlank.FindString(text)):]
		if text == "" {
			return fields, false
		}
		m := slowKey.FindStringSubmatch(text)
		if m == nil {
			word := slowWord.FindString(text)
			fields = append(fields, field{Key: bytesOf(word)})
			text = text[len(word):]
			continue
		}
		text = text[len(m[0]):]
		value := slowBare.FindString(text)
		if len(text) > 0 && text[0] == '"' {
			q := slowQuoted.FindStringSubmatch(text)
			if q == nil {
				return fields, true
			}
			value = q[1]
		}
		fields = append(fields, field{bytesOf(m[1]), bytesOf(value), true})
		text = text[len(value):]
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte(`audit(1795440105.125:24): ipe_op=EXECUTE pid=456 comm="labtool" path=2F61 dev=? rule="op=A b="c":D action=DENY"`))
	f.Add([]byte("audit(1.000:1): policy_name=\"we\"ird\x1d\" x auid=0\x1dAUID=\"root\"\x00\n"))
	f.Add([]byte(`a=1 b="c`))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		_, body, ok := CutStamp(text)
		if !bytes.HasSuffix(text, body) || ok == (len(body) == len(text)) {
			t.Fatalf("stamp %v, body %q of %q", ok, body, text)
		}
		trimmed := TrimEnd(body)
		if !bytes.HasPrefix(body, trimmed) {
			t.Fatalf("%q was trimmed to %q", body, trimmed)
		}
		got, torn := cutAll(trimmed)
		want, wantTorn := slowCutAll(trimmed)
		if diff := cmp.Diff(want, got); diff != "" || torn != wantTorn {
			t.Fatalf("%q: torn %v, want %v; fields (-want +got):\n%s", trimmed, torn, wantTorn, diff)
		}
		if !bytes.Equal(text, before) {
			t.Fatal("the text was written to")
		}
	})
}

func FuzzUntrusted(f *testing.F) {
	for _, s := range []string{"", "a", "DEADBEEF", "a b", `"`, "\x00", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		v, rest, ok := CutValue(AppendUntrusted(nil, s))
		if !ok || len(rest) != 0 || v.Absent() {
			t.Fatalf("%q became %q", s, v)
		}
		got := v.Text()
		if !v.Quoted() {
			if got, ok = AppendHex(nil, v); !ok {
				t.Fatalf("%q became %q", s, v)
			}
		}
		if !bytes.Equal(got, s) {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
