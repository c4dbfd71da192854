package ipe

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDecodeAgreesWithSlowParser makes records out of whole keys and values,
// which a fuzzer that flips bytes seldom gets right.
func TestDecodeAgreesWithSlowParser(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, d := range dialects {
		for _, k := range d.keys {
			keys = append(keys, k.name)
		}
	}
	keys = append(keys, "rule", "rule", "lsm", "domain", "blockers", "subj_apparmor", "obj_x", "new", "prop_boot_verified")
	values := []string{``, `?`, `""`, `"?"`, `0`, `1`, `-1`, `4294967295`, `4294967296`, `18446744073709551615`, `ipe`, `"ipe"`,
		`selinux`, `"a"`, `"a b"`, `"a"b"`, `"torn`, `6120`, `612`, `6a`, `610062`, `00`, `sha256:AB`, `sha256:<hash>`, `sha256`,
		`:`, `"sha1:AB"`, `AB`, `<hash>`, `NULL`, `ERR(-2)`, `enforce`, `permissive`, `1.0.0`, `"<too_long>"`, "\"\x1d\"",
		`"DEFAULT action=DENY"`, `"DEFAULT op=EXECUTE action=ALLOW"`, `"op=EXECUTE action=DENY"`}
	words := []string{`op=EXECUTE`, `EXECUTE`, `DEFAULT`, `boot_verified=TRUE`, `dmverity_roothash="sha256":AB`, `fsverity_digest=6162:aB`,
		`fsverity_digest=sha1:XY`, `dmverity_roothash=AB`, `intended_pathname="/a:b"`, `intended_pathname=2F20`, `intended_pathname=2f`,
		`x="y":AB`, `x="y`, `x=`, `x`, ``, `action=DENY`, `x="action=DENY"`}
	field := rapid.Custom(func(t *rapid.T) string {
		key := rapid.SampledFrom(keys).Draw(t, "key")
		value := rapid.SampledFrom(values).Draw(t, "value")
		if key == "rule" && rapid.IntRange(0, 9).Draw(t, "whole rule") > 0 {
			rule := rapid.SliceOfN(rapid.SampledFrom(words), 0, 5).Draw(t, "words")
			value = `"` + strings.Join(rule, " ") + rapid.SampledFrom([]string{` action=ALLOW"`, ` action=DENY"`}).Draw(t, "action")
		}
		return key + "=" + value
	})
	piece := rapid.OneOf(field, field, field, field, field, field, field, field,
		rapid.SampledFrom([]string{"", "stray", "=1", `a"b=1`}))
	ordinary := strings.Fields("ipe_op=A ipe_hook=B enforcing=1 pid=1 comm=6120 path=? dev= ino=7")

	whole := 0
	rapid.Check(t, func(t *rapid.T) {
		front := rapid.SampledFrom([]string{"", "", "audit(1.000:1): ", "IPE ", "audit(1.000:1): IPE ", "IPE", "IPE switched to "}).Draw(t, "front")
		pieces := rapid.SliceOfN(piece, 0, 9).Draw(t, "pieces")
		if rapid.Bool().Draw(t, "ordinary front") {
			pieces = slices.Concat(ordinary[:rapid.IntRange(0, len(ordinary)).Draw(t, "cut")], pieces)
		}
		text := []byte(front + strings.Join(pieces, " ") + rapid.SampledFrom([]string{"", "\n", "\x00", "\x1dAUID=\"a\""}).Draw(t, "end"))
		typ := rapid.SampledFrom([]uint16{1404, 1420, 1421, 1422, 1423, 1403, 1405, 1808, 1809, 1810, 1802, 1300}).Draw(t, "type")

		var d Decoder
		var ev Event
		class := d.Decode(&ev, typ, text)
		slowClass, slow := slowDecode(typ, text)
		if got, want := dump(class, &ev), dump(slowClass, slow); got != want {
			t.Fatalf("%d %q\n got %s\nwant %s", typ, text, got, want)
		}
		if c := Classify(typ, text); c != class {
			t.Fatalf("Classify says %v, Decode says %v", c, class)
		}
		if class == ClassIPE && ev.Kind != KindUnparsed {
			whole++
		}
	})
	if whole == 0 {
		t.Error("no record was readable")
	}
}
