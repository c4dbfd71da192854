package entry

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/spool"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const record = `audit(1795440701.244:47): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=1 pid=570 comm="sh" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`

// TestEntriesBecomeEvents reads entries of each type as the lines that a sink
// writes.
func TestEntriesBecomeEvents(t *testing.T) {
	t.Parallel()
	boot := [16]byte{0x0b, 0x4a, 0x2f, 0x9e, 0x6c, 0x1d, 0x4c, 0x57, 0x9e, 0x35, 0x2a, 0x8d, 0x1f, 0x60, 0xc3, 0xb7}
	imported := func(im Imported, data string) []byte {
		im.Data = []byte(data)
		return AppendImported(nil, &im)
	}
	const (
		id    = `"spool":"4f3a9c21d06b7e58","seq":7,`
		other = `"spool":"00000000000000aa","seq":1,`
		what  = `"time":"2026-11-23T13:31:41.244Z","serial":47,"type":1420,"event":"access","dialect":"mainline","verdict":"denied","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"sh","path":"/tmp/true","dev":"tmpfs","rule":"DEFAULT op=EXECUTE action=DENY","enforcing":true,"pid":570,"ino":2,"rule_kind":"op_default","action":"DENY"`
		by    = `,"active_policy_name":"lab","active_policy_version":"1.0.0"`
		here  = `,"host":"web1"`
		now   = `,"boot_id":"0b4a2f9e-6c1d-4c57-9e35-2a8d1f60c3b7"`
	)
	for name, tt := range map[string]struct {
		typ     uint16
		data    []byte
		context uint16
		want    string
	}{
		"a record":                   {1420, []byte(record), 3, "{" + id + what + by + here + now + "}\n"},
		"without a policy":           {1420, []byte(record), 0, "{" + id + what + here + now + "}\n"},
		"another's record":           {1300, []byte(record), 0, ""},
		"an internal event":          {TypeInternal, []byte(`{"time":"2026-11-23T13:31:41.244Z","event":"stopped","version":"1","host":"x"}`), 3, "{" + id + `"time":"2026-11-23T13:31:41.244Z","event":"stopped","version":"1"` + here + now + "}\n"},
		"one that cannot be read":    {TypeInternal, []byte(`{"event":"of a later release"}`), 3, "{" + id + `"event":"unparsed","raw":"{\"event\":\"of a later release\"}"` + here + now + "}\n"},
		"of an input":                {TypeImported, imported(Imported{Type: 1420}, record), 0, "{" + id + what + here + "}\n"},
		"of an input, with a policy": {TypeImported, imported(Imported{Type: 1420}, record), 3, "{" + id + what + by + here + "}\n"},
		"of another host":            {TypeImported, imported(Imported{Type: 1420, Host: []byte("db"), BootID: []byte("b")}, record), 0, "{" + id + what + `,"host":"db","boot_id":"b"}` + "\n"},
		"cut":                        {TypeImported, imported(Imported{Type: 1420, Cut: true}, "audit(1.000:2): ipe_op=EXECUTE rule=\"x action=DENY\""), 0, "{" + id + `"time":"1970-01-01T00:00:01.000Z","serial":2,"type":1420,"event":"unparsed","dialect":"mainline","raw":"audit(1.000:2): ipe_op=EXECUTE rule=\"x action=DENY\""` + here + "}\n"},
		"foreign, of an input":       {TypeImported, imported(Imported{Type: 1300}, record), 0, ""},
		"an event of an input":       {TypeImported, imported(Imported{}, "{"+other+what+by+`,"host":"db","boot_id":"b"}`), 0, "{" + other + what + by + `,"host":"db","boot_id":"b"}` + "\n"},
		"an event without a number":  {TypeImported, imported(Imported{}, "{"+what+"}"), 0, "{" + id + what + here + "}\n"},
		"a loss of another reader":   {TypeImported, imported(Imported{}, `{"event":"lost","count":2,"stage":"spool","first_seq":1,"last_seq":2}`), 0, `{"event":"lost","count":2,"stage":"spool","first_seq":1,"last_seq":2` + here + "}\n"},
		"what another has counted":   {TypeImported, imported(Imported{}, `{"spool":"00000000000000aa","event":"repeated","verdict":"denied","action":"DENY","count":2,"first_seq":1,"last_seq":2}`), 0, `{"spool":"00000000000000aa","event":"repeated","verdict":"denied","action":"DENY","count":2,"first_seq":1,"last_seq":2` + here + "}\n"},
		"a torn event":               {TypeImported, imported(Imported{}, `{"event":"lo`), 0, "{" + id + `"event":"unparsed","raw":"{\"event\":\"lo"` + here + "}\n"},
		"a damaged entry":            {TypeImported, []byte("\x00\x00\x00\xff"), 0, "{" + id + `"event":"unparsed","raw":"\u0000\u0000\u0000` + "\ufffd" + `","raw_hex":"000000FF"` + here + "}\n"},
	} {
		d := Decoder{Host: []byte("web1"), Policy: func(n uint16) *ipe.Policy {
			if n != 3 {
				return nil
			}
			return &ipe.Policy{Name: []byte("lab"), Version: []byte("1.0.0")}
		}}
		var ev ipe.Event
		var c format.Context
		got := ""
		if d.Decode(&ev, &c.Identity, &spool.Entry{ID: 0x4f3a9c21d06b7e58, Seq: 7, BootID: boot, Type: tt.typ, Context: tt.context, Data: tt.data}) == ipe.ClassIPE {
			got = string(format.AppendJSON(nil, &ev, &c))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestMissedEntriesAreALoss(t *testing.T) {
	t.Parallel()
	d := Decoder{Host: []byte("web1")}
	var ev ipe.Event
	var id format.Identity
	at := d.Missed(&ev, &id, &spool.GapError{ID: 1, First: 3, Last: 5, Count: 3, Known: true})
	if at != (spool.Cursor{ID: 1, Seq: 5}) || ev.Kind != ipe.KindLost || ev.Count != 3 || ev.Accuracy != ipe.AccuracyExact || ev.LastSeq != 5 || id.Spool != 0 {
		t.Errorf("at %v: %+v of %+v", at, ev, id)
	}
	at = d.Missed(&ev, &id, &spool.GapError{ID: 1, First: 3, Err: errors.New("gone")})
	if at != (spool.Cursor{ID: 1, Seq: 2}) || ev.Accuracy != ipe.AccuracyUnknown || ev.Has&(ipe.HasCount|ipe.HasSeqRange) != 0 {
		t.Errorf("at %v: %+v", at, ev)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := Decoder{Host: []byte("web1")}
	var ev ipe.Event
	var id format.Identity
	for _, e := range []spool.Entry{
		{ID: 1, Seq: 1, BootID: [16]byte{1}, Type: 1420, Data: []byte(record)},
		{ID: 1, Seq: 2, BootID: [16]byte{1}, Type: TypeInternal, Data: []byte(`{"event":"lost","count":7,"stage":"a\"b"}`)},
		{ID: 1, Seq: 3, BootID: [16]byte{1}, Type: TypeImported, Data: AppendImported(nil, &Imported{Type: 1420, Host: []byte("db"), Data: []byte(record)})},
	} {
		if n := testing.AllocsPerRun(100, func() { d.Decode(&ev, &id, &e) }); n != 0 {
			t.Errorf("type %d: %v allocations", e.Type, n)
		}
	}
}

func FuzzParseImported(f *testing.F) {
	f.Add(AppendImported(nil, &Imported{Type: 1420, Cut: true, Host: []byte("db"), BootID: []byte("b"), Data: []byte(record)}))
	f.Add([]byte("\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		im, ok := ParseImported(data)
		if !ok {
			return
		}
		again, ok := ParseImported(AppendImported(nil, &im))
		if !ok || !cmp.Equal(im, again) || len(im.Data) > 0 && !bytes.HasSuffix(data, im.Data) {
			t.Errorf("%+v became %+v", im, again)
		}
	})
}
