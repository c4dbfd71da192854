package ipe

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ordinaryRecord = `audit(1795440105.125:24): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=0 pid=456 ` +
		`comm="labtool" path="/tmp/true" dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`
	hexRecord = `audit(1795440105.125:24): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=0 pid=456 ` +
		`comm=6C616220746F6F6C path=2F746D702F74727565202864656C6574656429 dev="tmpfs" ino=2 rule="DEFAULT op=EXECUTE action=DENY"`
	digestRecord = `audit(1795440121.745:138): ipe_op=EXECUTE ipe_hook=BPRM_CHECK enforcing=0 pid=1100 comm="labtool" ` +
		`path="/mnt/dmv1/bin/true" dev="dm-0" ino=13 rule="op=EXECUTE dmverity_roothash="sha256":` +
		`26C61001CD26DEE70620662DF5E8469CCE06E5FE7B5BCDFF1CB1B181ECD1698F action=ALLOW"`
	loadRecord = `audit(1795444356.965:2): policy_name="lab" policy_version=1.0.0 policy_digest=sha256:` +
		`61468DCBE9A1AD3F3B4ECDDD248220988E6B510010650FE3A711F3D1A17E8D8B auid=1000 ses=2 lsm=ipe res=1 errno=0`
	activateRecord = `audit(1795440102.609:9): old_active_pol_name="lab" old_active_pol_version=1.0.1 ` +
		`old_policy_digest=sha256:806C new_active_pol_name="lab" new_active_pol_version=2.0.0 ` +
		`new_policy_digest=sha256:3CDC auid=4294967295 ses=4294967295 lsm=ipe res=1`
	enforceRecord  = `audit(1795440103.669:11): enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1`
	unknownRecord  = `audit(1.000:1): ipe_op=EXECUTE new=1 ipe_hook=MMAP enforcing=1 pid=1 older=2 rule="DEFAULT action=DENY"`
	mailRecord     = `IPE ctx_pid=253 ctx_op=EXECUTE ctx_hook=MMAP ctx_enforce=1 ctx_comm="anon" rule="DEFAULT op=EXECUTE action=DENY"`
	landlockRecord = `audit(1795444512.648:544): domain=1c3410a3b blockers=fs.read_file path="/tmp/ll/a/f" dev="tmpfs" ino=91`
)

func TestDecodeDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tests := []struct {
		name string
		typ  uint16
		text string
	}{
		{"ordinary access", TypeAccess, ordinaryRecord},
		{"hex strings", TypeAccess, hexRecord},
		{"digest in the rule", TypeAccess, digestRecord},
		{"policy load", TypePolicyLoad, loadRecord},
		{"policy activation", TypeConfigChange, activateRecord},
		{"enforcement", TypeMACStatus, enforceRecord},
		{"unknown keys", TypeAccess, unknownRecord},
		{"mail of v7", TypeAccess, mailRecord},
		{"before v1", typeIntegrityStatus, "IPE switched to enforce mode"},
		{"unparsed", TypeAccess, "ipe_op=EXECUTE stray"},
		{"landlock", TypeLandlockAccess, landlockRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			var ev Event
			text := []byte(tt.text)
			if n := testing.AllocsPerRun(100, func() {
				Classify(tt.typ, text)
				d.Decode(&ev, tt.typ, text)
			}); n != 0 {
				t.Errorf("%v allocations per record, want 0", n)
			}
		})
	}
}

func TestDecodeReusesItsScratchSpace(t *testing.T) {
	t.Parallel()
	var d Decoder
	var ev Event
	for range 1000 {
		d.Decode(&ev, TypeAccess, []byte(hexRecord))
		d.Decode(&ev, TypePolicyLoad, []byte(loadRecord))
	}
	if n := cap(d.scratch); n != 4096 {
		t.Errorf("the scratch space grew to %d bytes", n)
	}
}

// TestDecodeForgetsTheLastEvent decodes every kind after every other.
func TestDecodeForgetsTheLastEvent(t *testing.T) {
	t.Parallel()
	records := []record{
		{TypeAccess, []byte(digestRecord)},
		{TypeAccess, []byte(unknownRecord)},
		{TypePolicyLoad, []byte(loadRecord)},
		{TypeConfigChange, []byte(activateRecord)},
		{TypeMACStatus, []byte(enforceRecord)},
		{TypeAccess, []byte(mailRecord)},
		{TypeAccess, []byte(`ipe_op=EXECUTE pid=1 new=1 comm="a" stray`)},
	}
	var d Decoder
	var used Event
	for _, first := range records {
		for _, second := range records {
			var fresh Event
			new(Decoder).Decode(&fresh, second.typ, second.text)
			d.Decode(&used, first.typ, first.text)
			class := d.Decode(&used, second.typ, second.text)
			if diff := cmp.Diff(dump(ClassIPE, &fresh), dump(class, &used)); diff != "" {
				t.Errorf("%q after %q (-fresh +used):\n%s", second.text, first.text, diff)
			}
		}
	}
}

// TestEventLivesInTextAndScratch damages the text and the scratch space: an
// event that still reads the same would hold copies, and one that changed
// elsewhere would view other memory.
func TestEventLivesInTextAndScratch(t *testing.T) {
	t.Parallel()
	for _, r := range []string{ordinaryRecord, hexRecord, digestRecord, unknownRecord} {
		var d Decoder
		var ev Event
		text := []byte(r)
		if class := d.Decode(&ev, TypeAccess, text); class != ClassIPE {
			t.Fatalf("%q: %v", r, class)
		}
		checkViews(t, &d, &ev, text)
		for i := range text {
			text[i] = 'X'
		}
		for i := range d.scratch {
			d.scratch[i] = 'X'
		}
		for _, v := range views(&ev) {
			if strings.Trim(string(v), "X") != "" {
				t.Errorf("%q is a copy that nobody asked for", v)
			}
		}
	}
}

// TestDecodeAppendsToNoView checks that a caller who appends to a decoded
// string does not write over its neighbour in the scratch space.
func TestDecodeAppendsToNoView(t *testing.T) {
	t.Parallel()
	var d Decoder
	var ev Event
	d.Decode(&ev, TypeAccess, []byte(hexRecord))
	_ = append(ev.Comm, "overwritten"...)
	if got, want := string(ev.Path), "/tmp/true (deleted)"; got != want {
		t.Errorf("path %q, want %q", got, want)
	}
}

func TestDecodeSurvivesHugeAndCutRecords(t *testing.T) {
	t.Parallel()
	var d Decoder
	var ev Event
	for n := range len(digestRecord) {
		for _, typ := range []uint16{TypeAccess, TypeMACStatus, TypeLandlockAccess, 0, 1, 65535} {
			d.Decode(&ev, typ, []byte(digestRecord[:n]))
		}
		if class := d.Decode(&ev, TypeAccess, []byte(digestRecord[:n])); class == ClassIPE && ev.Kind != KindUnparsed {
			t.Errorf("%d bytes of a record became a whole event", n)
		}
	}

	path := strings.Repeat("2F", 1<<15)
	huge := []byte(`ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=1 comm="a" path=` + path + ` dev="c" ino=1 rule="DEFAULT action=DENY"`)
	d.Decode(&ev, TypeAccess, huge)
	if !bytes.Equal(ev.Path, bytes.Repeat([]byte("/"), 1<<15)) {
		t.Errorf("a path of 32 KiB came out with %d bytes", len(ev.Path))
	}
	for _, part := range []string{"a=1 ", " ", `"`, "a", "=", `rule="`, " action=", "\x1d", "\x00", `a="`, "IPE "} {
		text := []byte("ipe_op=EXECUTE " + strings.Repeat(part, 1<<16/len(part)))
		if class := d.Decode(&ev, TypeAccess, text); class != ClassIPE || ev.Kind != KindUnparsed {
			t.Errorf("64 KiB of %q: %v, %v", part, class, ev.Kind)
		}
	}
}

// TestOrdinaryReaderAgreesWithTheGeneralOne reads every mainline access of the
// test data with and without readOrdinary: a blank in front of the first key
// is enough to keep it from beginning.
func TestOrdinaryReaderAgreesWithTheGeneralOne(t *testing.T) {
	t.Parallel()
	n := 0
	for _, file := range []string{"testdata/mainline-6.12.txt", "testdata/trap-keys.txt", "testdata/trap-strings.txt",
		"testdata/trap-numbers.txt", "testdata/trap-rules.txt", "testdata/azure-linux.txt", "testdata/trap-damaged.txt"} {
		for _, r := range readRecords(t, file) {
			stamp, body, ok := bytes.Cut(r.text, []byte("): "))
			if class, kind, dl := identify(r.typ, trim(body)); !ok || class != ClassIPE || kind != KindAccess || dl != &mainline {
				continue
			}
			n++
			// A key in front that is in no dialect ends up in Extra.
			late := fmt.Appendf(nil, "%s): late=1 %s", stamp, body)
			var d1, d2 Decoder
			var ev1, ev2 Event
			class := d1.Decode(&ev1, r.typ, r.text)
			if d2.Decode(&ev2, r.typ, late) != class {
				t.Fatalf("%q: another class", late)
			}
			if ev1.Raw, ev2.Raw = nil, nil; len(ev2.Extra) > 0 {
				ev2.Extra = ev2.Extra[1:]
			}
			if diff := cmp.Diff(dump(class, &ev1), dump(class, &ev2)); diff != "" {
				t.Errorf("%q (-ordinary +general):\n%s", r.text, diff)
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d records were compared", n)
	}
}

func TestTypesAreCarried(t *testing.T) {
	t.Parallel()
	want := []uint16{1404, 1420, 1421, 1422, 1423, 1305, 1335}
	if diff := cmp.Diff(want, Types()); diff != "" {
		t.Errorf("types for the kernel's filter (-want +got):\n%s", diff)
	}
	for _, typ := range want {
		body := "IPE enforce=1"
		switch typ {
		case TypeAuditConfigChange:
			body = "op=set audit_enabled=0 old=1"
		case TypeEventListener:
			body = "op=connect"
		}
		if Classify(typ, []byte(body)) != ClassIPE {
			t.Errorf("%d is let through but never IPE's", typ)
		}
	}
}

func TestDialectTables(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		seen := map[string]bool{}
		for _, k := range d.keys {
			if seen[k.name] {
				t.Errorf("key %s is there twice", k.name)
			}
			if seen[k.name] = true; k.field == fieldUnknown {
				t.Errorf("key %s has no field", k.name)
			}
		}
	}
}

func FuzzHexStrings(f *testing.F) {
	f.Add([]byte("a b"), []byte("/x (deleted)"))
	f.Fuzz(func(t *testing.T, comm, path []byte) {
		text := fmt.Appendf(nil, `ipe_op=A comm=%X path=%X rule="DEFAULT action=DENY"`, comm, path)
		var d Decoder
		var ev Event
		d.Decode(&ev, TypeAccess, text)
		if !bytes.Equal(ev.Comm, comm) || !bytes.Equal(ev.Path, path) {
			t.Errorf("%q %q came back as %q %q", comm, path, ev.Comm, ev.Path)
		}
	})
}
