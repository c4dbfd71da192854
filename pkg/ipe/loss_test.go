package ipe_test

import (
	"testing"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

func TestIsLoss(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		event ipe.Event
		want  bool
	}{
		{"of one", ipe.Event{Kind: ipe.KindLost, Count: 1, Has: ipe.HasCount}, true},
		{"of nobody knows how many", ipe.Event{Kind: ipe.KindLost, Accuracy: ipe.AccuracyUnknown}, true},
		{"the spool is in memory", ipe.Event{Kind: ipe.KindLost, Stage: []byte(ipe.StageMemory), Has: ipe.HasCount}, false},
		{"forged", ipe.Event{Kind: ipe.KindForged, Count: 1, Has: ipe.HasCount}, false},
	} {
		if got := tt.event.IsLoss(); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}
