package ipe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAppendOwnIsReadBackExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Ptr(rapid.SliceOf(rapid.Byte()), true)
		str := func(name string) []byte {
			if p := text.Draw(t, name); p != nil {
				return append([]byte{}, *p...)
			}
			return nil
		}
		boolean := rapid.SampledFrom([]Bool{Unknown, False, True})
		want := Event{
			Kind:         rapid.SampledFrom([]Kind{KindStarted, KindStopped, KindLost, KindForged}).Draw(t, "kind"),
			Accuracy:     rapid.SampledFrom([]Accuracy{AccuracyNone, AccuracyExact, AccuracyAtLeast, AccuracyUnknown}).Draw(t, "accuracy"),
			Stage:        str("stage"),
			Version:      str("version"),
			Kernel:       str("kernel"),
			IPEStatus:    str("status"),
			Enforcing:    boolean.Draw(t, "enforcing"),
			SuccessAudit: boolean.Draw(t, "success_audit"),
			Policy:       Policy{str("name"), str("policy version"), str("digest")},
		}
		if rapid.Bool().Draw(t, "has time") {
			want.Has |= HasStamp
			want.Time = rapid.Int64().Draw(t, "time")
		}
		if rapid.Bool().Draw(t, "has count") {
			want.Has |= HasCount
			want.Count = rapid.Uint64().Draw(t, "count")
		}
		if rapid.Bool().Draw(t, "has since") {
			want.Has |= HasSince
			want.Since = rapid.Int64().Draw(t, "since")
		}
		if rapid.Bool().Draw(t, "has until") {
			want.Has |= HasUntil
			want.Until = rapid.Int64().Draw(t, "until")
		}
		if rapid.Bool().Draw(t, "has range") {
			want.Has |= HasSeqRange
			want.FirstSeq, want.LastSeq = rapid.Uint64().Draw(t, "first"), rapid.Uint64().Draw(t, "last")
		}

		own := AppendOwn([]byte("kept"), &want)
		if string(own[:4]) != "kept" {
			t.Fatalf("AppendOwn touched what was there: %q", own)
		}
		var d Decoder
		var got Event
		if class := d.Decode(&got, 0, own[4:]); class != ClassIPE {
			t.Fatalf("%q: %v", own, class)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", own, diff)
		}
	})
}

func TestDecodeOfTypeZeroRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		ordinaryRecord,
		`event="access" count=1`,
		`event="nothing"`,
		`count=1`,
		`event="lost" stray`,
		`event="lost" stage="soc`,
	} {
		var d Decoder
		var ev Event
		if class := d.Decode(&ev, 0, []byte(text)); class != ClassForeign {
			t.Errorf("%q: %v, want %v", text, class, ClassForeign)
		}
	}
}

func TestDecodeOfTypeZeroKeepsKeysOfLaterReleases(t *testing.T) {
	t.Parallel()
	var d Decoder
	var ev Event
	if class := d.Decode(&ev, 0, []byte(`event="lost" why="new" count=many`)); class != ClassIPE {
		t.Fatal(class)
	}
	want := []KeyValue{{[]byte("why"), []byte(`"new"`)}, {[]byte("count"), []byte("many")}}
	if diff := cmp.Diff(want, ev.Extra); diff != "" || ev.Has != 0 {
		t.Errorf("extra (-want +got):\n%s", diff)
	}
}
