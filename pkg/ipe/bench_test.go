package ipe

import (
	"testing"

	"github.com/elastic/go-libaudit/v2/auparse"
)

// benchmarkRecords are decoded by this package and, for comparison, by
// go-libaudit's auparse, which knows the fields only after Data.
var benchmarkRecords = []struct {
	name string
	typ  uint16
	text string
}{
	{"ordinary", TypeAccess, ordinaryRecord},
	{"hex", TypeAccess, hexRecord},
	{"digest", TypeAccess, digestRecord},
	{"load", TypePolicyLoad, loadRecord},
	{"activate", TypeConfigChange, activateRecord},
	{"enforce", TypeMACStatus, enforceRecord},
	{"unknown_keys", TypeAccess, unknownRecord},
	{"mail", TypeAccess, mailRecord},
}

func BenchmarkClassify(b *testing.B) {
	for _, r := range append(benchmarkRecords, struct {
		name string
		typ  uint16
		text string
	}{"landlock", TypeLandlockAccess, landlockRecord}) {
		b.Run(r.name, func(b *testing.B) {
			text := []byte(r.text)
			b.ReportAllocs()
			for b.Loop() {
				Classify(r.typ, text)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, r := range benchmarkRecords {
		b.Run(r.name, func(b *testing.B) {
			var d Decoder
			var ev Event
			text := []byte(r.text)
			b.ReportAllocs()
			for b.Loop() {
				if d.Decode(&ev, r.typ, text) != ClassIPE || ev.Kind == KindUnparsed {
					b.Fatal("not decoded")
				}
			}
		})
	}
}

func BenchmarkAuparse(b *testing.B) {
	for _, r := range benchmarkRecords[:4] {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m, err := auparse.Parse(auparse.AuditMessageType(r.typ), r.text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := m.Data(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
