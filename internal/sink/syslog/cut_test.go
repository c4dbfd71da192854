package syslog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4/rfc5424"
	"pgregory.net/rapid"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const head = `<83>1 2026-11-23T13:35:38.497Z node7 ipe-auditd 77 access [ipe@32473`

func TestCut(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("p", 300), strings.Repeat("r", 400)
	tests := []struct {
		name, in string
		limit    int // below the length, if negative
		want     string
	}{
		{"text", head + ` a="1"] some words`, -3, head + ` a="1"] s` + cutMark},
		{"between characters", head + ` a="1"] ééééééé`, -1, head + ` a="1"] ééé` + cutMark},
		{"quotes and brackets", head + ` a="] \" ]"] abcdefghijk`, -1, head + ` a="] \" ]"] abcd` + cutMark},
		{"the longest parameter", head + ` seq="1" path="` + long + `" raw="` + longer + `" ino="2"] text`, 500,
			head + ` seq="1" path="` + long + `" ino="2" cut="raw"] text`},
		{"both parameters", head + ` seq="1" path="` + long + `" raw="` + longer + `" ino="2"] text`, 200,
			head + ` seq="1" ino="2" cut="raw path"] text`},
		{"parameter and text", head + ` seq="1" path="` + long + `"] ` + strings.Repeat("t", 300), 120,
			head + ` seq="1" cut="path"] ` + strings.Repeat("t", 25) + cutMark},
		{"nothing to drop", head + `] ` + strings.Repeat("t", 50), 100, head + `] ` + strings.Repeat("t", 24) + cutMark},
		{"traditional", `<83>Nov 23 13:35:38 ipe-auditd[77]: DENIED [1 a="b"] é`, -1, `<83>Nov 23 13:35:38 ipe-auditd[77]: DENIED [1 a=` + cutMark},
		{"without structured data", `<83>1 - - ipe-auditd - access - text text`, -1, `<83>1 - - ipe-auditd - access - te` + cutMark},
		{"no message at all", strings.Repeat("x", 50), 20, strings.Repeat("x", 14) + cutMark},
	}
	for _, tt := range tests {
		limit := tt.limit
		if limit < 0 {
			limit += len(tt.in)
		}
		got := string(cut([]byte(tt.in), limit))
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
		if len(got) > limit {
			t.Errorf("%s: %d bytes, want at most %d", tt.name, len(got), limit)
		}
	}
}

// Whatever the event, what is cut fits, is a message, and says of each parameter
// either the truth or that it is missing.
func TestCutMessageIsAMessage(t *testing.T) {
	t.Parallel()
	f, err := format.Syslog{Facility: 10, SDID: "ipe@32473"}.RFC5424()
	check(t, err)
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 3000)
		ev := &ipe.Event{
			Kind: ipe.KindAccess, Type: 1420, Comm: data.Draw(t, "comm"), Path: data.Draw(t, "path"),
			Rule: data.Draw(t, "rule"), Raw: data.Draw(t, "raw"),
			Extra: []ipe.KeyValue{{Key: []byte("k"), Value: data.Draw(t, "extra")}},
		}
		msg := f(nil, ev, &format.Context{Identity: format.Identity{Spool: 1, Seq: 1, Host: []byte("node7")}, Raw: true})
		if len(msg) <= minDatagram {
			return
		}
		limit := rapid.IntRange(minDatagram, len(msg)-1).Draw(t, "limit")
		got := cut(msg, limit)
		if len(got) > limit {
			t.Fatalf("%d bytes, want at most %d", len(got), limit)
		}
		if !utf8.Valid(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		whole, short := parameters(t, msg), parameters(t, got)
		for _, name := range strings.Fields(short["cut"]) {
			if _, ok := short[name]; ok || whole[name] == "" {
				t.Fatalf("%s is said to be cut", name)
			}
			delete(whole, name)
		}
		delete(short, "cut")
		if fmt.Sprint(short) != fmt.Sprint(whole) {
			t.Fatalf("got %v, want %v", short, whole)
		}
	})
}

func parameters(t *rapid.T, msg []byte) map[string]string {
	m, err := rfc5424.NewParser().Parse(msg)
	if err != nil {
		t.Fatalf("%v in %q", err, msg)
	}
	return (*m.(*rfc5424.SyslogMessage).StructuredData)["ipe@32473"]
}

func FuzzCut(f *testing.F) {
	f.Add([]byte(head+` a="1"] text`), uint16(90))
	f.Add([]byte(`<1>1 - - - - - [`), uint16(1))
	f.Add([]byte(`<1>1 - - - - - [a b="\`), uint16(1))
	f.Fuzz(func(t *testing.T, msg []byte, limit uint16) {
		before := bytes.Clone(msg)
		got := cut(msg, int(limit))
		if !bytes.Equal(msg, before) {
			t.Errorf("%q was changed to %q", before, msg)
		}
		if head, _, _ := split(msg); !bytes.HasPrefix(got, head) {
			t.Errorf("%q does not begin with %q", got, head)
		}
	})
}
