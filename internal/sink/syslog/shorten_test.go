package syslog

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4/rfc5424"
	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const head = `<83>1 2026-11-23T13:35:38.497Z node7 ipe-auditd 77 access [ipe@32473`

func TestShorten(t *testing.T) {
	t.Parallel()
	p, r := strings.Repeat("p", 300), strings.Repeat("r", 400)
	const ids = ` spool="7" seq="1" event="access" verdict="denied"`
	tests := []struct {
		name, in string
		limit    int
		want     string
	}{
		{"text", head + ids + `] ` + strings.Repeat("t", 500), 480,
			head + ids + ` shortened="173"] ` + strings.Repeat("t", 327) + `[shortened="173"]`},
		{"values and text alike", head + ids + ` path="` + p + `" rule="` + r + `" ino="2"] ` + strings.Repeat("t", 500), 480,
			head + ids + ` path="` + p[:101] + `" rule="` + r[:101] + `" ino="2" shortened="899"] ` + strings.Repeat("t", 99) + `[shortened="899"]`},
		{"between characters", head + ids + ` path="` + strings.Repeat("é", 300) + `"] text`, 481,
			head + ids + ` path="` + strings.Repeat("é", 158) + `" shortened="284"] text`},
		{"between escapes", head + ids + ` path="` + strings.Repeat(`\]`, 300) + `"] text`, 481,
			head + ids + ` path="` + strings.Repeat(`\]`, 158) + `" shortened="284"] text`},
		{"even hex", head + ids + ` path_hex="` + strings.Repeat(`FF`, 300) + `"] text`, 481,
			head + ids + ` path_hex="` + strings.Repeat(`FF`, 156) + `" shortened="288"] text`},
		{"escapes of the text", head + ids + `] ` + strings.Repeat(`\xff`, 200), 480,
			head + ids + ` shortened="476"] ` + strings.Repeat(`\xff`, 81) + `[shortened="476"]`},
		{"parameters at the end", head + ids + strings.Repeat(` path="`+p[:64]+`"`, 20) + `] ` + p, 480,
			head + ids + strings.Repeat(` path="`+p[:64]+`"`, 3) + ` shortened="1415"] ` + p[:109] + `[shortened="1415"]`},
		{"traditional", `<83>Nov 23 13:35:38 ipe-auditd[77]: ` + p + p, 480,
			`<83>Nov 23 13:35:38 ipe-auditd[77]: ` + p + p[:127] + `[shortened="173"]`},
		{"without structured data", `<83>1 - - ipe-auditd - access - ` + p + p, 480,
			`<83>1 - - ipe-auditd - access - ` + p + p[:131] + `[shortened="169"]`},
	}
	for _, tt := range tests {
		got := string(shorten(nil, []byte(tt.in), tt.limit))
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
		if len(got) > tt.limit {
			t.Errorf("%s: %d octets, want at most %d", tt.name, len(got), tt.limit)
		}
	}
}

// Whatever the event and the limit, and however often it is done, what was
// shortened fits, is a message, says whose it is, and of each parameter only what
// is true.
func TestShortenedMessageIsAMessage(t *testing.T) {
	t.Parallel()
	f, err := format.Syslog{Facility: 23, SDID: strings.Repeat("s", 32), PID: 4194304}.RFC5424()
	check(t, err)
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string) []byte {
			if rapid.Bool().Draw(t, name+" is random") {
				return rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, name)
			}
			part := rapid.SampledFrom([]string{"\\", `"`, "]", "é", "\n", "\U0001f600", "<13>1 ", "\xff", "a "}).Draw(t, name)
			return bytes.Repeat([]byte(part), rapid.IntRange(0, 2000).Draw(t, "times"))
		}
		ev := &ipe.Event{
			Kind: ipe.KindAccess, Type: 1420, Comm: text("comm"), Path: text("path"), Verdict: ipe.VerdictWouldDeny,
			Rule: text("rule"), Raw: text("raw"), PID: 12345, Has: ipe.HasPID | ipe.HasStamp, Time: 1_795_440_938_497,
			Extra: []ipe.KeyValue{{Key: []byte("k"), Value: text("extra")}},
		}
		context := &format.Context{Raw: true, Identity: format.Identity{Spool: 1 << 63, Seq: math.MaxUint64, Host: bytes.Repeat([]byte("h"), 255)}}
		msg := f(nil, ev, context)
		got := bytes.Clone(msg)
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			if len(got) <= LeastMessage {
				return
			}
			limit := rapid.IntRange(LeastMessage, len(got)-1).Draw(t, "limit")
			got = shorten(nil, got, limit)
			if len(got) > limit {
				t.Fatalf("%d octets, want at most %d", len(got), limit)
			}
		}
		if !utf8.Valid(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		whole, short := parameters(t, msg), parameters(t, got)
		for _, key := range []string{"spool", "seq", "event", "verdict"} {
			if short[key] != whole[key] {
				t.Fatalf("%s is %q, want %q", key, short[key], whole[key])
			}
		}
		missing, err := strconv.Atoi(short["shortened"])
		rest := regexp.MustCompile(`( shortened="\d+")|\[shortened="\d+"\]$`).ReplaceAll(got, nil)
		if err != nil || missing != len(msg)-len(rest) {
			t.Fatalf("%q are said to be missing of %d octets, and %d are there: %q", short["shortened"], len(msg), len(rest), got)
		}
		delete(short, "shortened")
		for key, value := range short {
			switch {
			case !strings.HasPrefix(whole[key], value):
				t.Fatalf("%s is %q, want the beginning of %q", key, value, whole[key])
			case value != whole[key] && len(value) < wholeValue/2-4:
				t.Fatalf("%s was cut to %q", key, value)
			case strings.HasSuffix(key, "_hex") && len(value)%2 != 0:
				t.Fatalf("%s has half an octet", key)
			}
		}
	})
}

func parameters(t *rapid.T, msg []byte) map[string]string {
	m, err := rfc5424.NewParser().Parse(msg)
	if err != nil {
		t.Fatalf("%v in %q", err, msg)
	}
	for _, params := range *m.(*rfc5424.SyslogMessage).StructuredData {
		return params
	}
	return nil
}

func FuzzShorten(f *testing.F) {
	f.Add([]byte(head+` a="1"] text`), uint16(90))
	f.Add([]byte(`<1>1 - - - - - [`), uint16(1))
	f.Add([]byte(`<1>1 - - - - - [a b="\`), uint16(1))
	f.Add([]byte(`<1>1 - - - - - [a b="1" shortened="7"] x[shortened="7"]`), uint16(1))
	f.Fuzz(func(t *testing.T, msg []byte, limit uint16) {
		before := bytes.Clone(msg)
		got := shorten([]byte("x"), msg, int(limit))
		if !bytes.Equal(msg, before) {
			t.Errorf("%q was changed to %q", before, msg)
		}
		if head, _, _ := split(msg); !bytes.HasPrefix(got, append([]byte("x"), head...)) {
			t.Errorf("%q does not begin with %q", got, head)
		}
	})
}
