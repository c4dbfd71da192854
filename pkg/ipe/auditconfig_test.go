package ipe

import (
	"fmt"
	"testing"
)

// TestAuditChangesSayWhatTheyTakeAway has every sort of change, and what it means
// for who wants to know of denials.
func TestAuditChangesSayWhatTheyTakeAway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, old, new string
		want           Impact
	}{
		{WhatAuditDisabled, "1", "0", ImpactBlind},
		{WhatAuditEnabled, "0", "1", ImpactNone},
		{WhatAuditLocked, "1", "2", ImpactNone},
		{WhatRateLimit, "0", "100", ImpactSome},
		{WhatRateLimit, "100", "50", ImpactSome},
		{WhatRateLimit, "50", "100", ImpactSome},
		{WhatRateLimit, "50", "0", ImpactNone},
		{WhatRateLimit, "", "50", ImpactSome},
		{WhatBacklogLimit, "8192", "64", ImpactSome},
		{WhatBacklogLimit, "64", "8192", ImpactNone},
		{WhatBacklogLimit, "64", "0", ImpactNone},
		{WhatBacklogLimit, "0", "8192", ImpactSome},
		{WhatBacklogWaitTime, "15000", "0", ImpactContext},
		{WhatBacklogWaitTime, "0", "15000", ImpactNone},
		{WhatFailure, "1", "0", ImpactContext},
		{WhatFailure, "0", "1", ImpactNone},
		{WhatFailure, "1", "2", ImpactNone},
		{WhatListener, "absent", "present", ImpactNone},
		{WhatListener, "present", "absent", ImpactNone},
		{WhatAuditd, "0", "812", ImpactNone},
		{WhatAuditd, "812", "0", ImpactContext},
		{WhatLostReset, "7", "0", ImpactContext},
		{WhatRuleAdded, "", "exclude", ImpactSome},
		{WhatRuleAdded, "", "task", ImpactContext},
		{WhatRuleAdded, "", "exclude all of 1420", ImpactAll},
		{WhatRuleAdded, "", "exclude all of 1300 1420 1421", ImpactAll},
		{WhatRuleAdded, "", "exclude all of 1404", ImpactAll},
		{WhatRuleAdded, "", "exclude some of 1300 1420", ImpactSome},
		{WhatRuleAdded, "", "exclude some of 1422", ImpactSome},
		{WhatRuleAdded, "", "exclude all of 1305", ImpactBlind},
		{WhatRuleAdded, "", "exclude all of 1300 1327", ImpactContext},
		{WhatRuleAdded, "", "task,never", ImpactContext},
		{WhatRuleAdded, "", "exit,never", ImpactContext},
		{WhatRuleRemoved, "exclude", "", ImpactNone},
		{WhatRuleRemoved, "task", "", ImpactNone},
		{WhatRuleRemoved, "exclude all of 1420", "", ImpactNone},
		{WhatEnforcing, "1", "0", ImpactNone},
		{WhatPolicyDeleted, "a", "", ImpactNone},
		{WhatSuccessAudit, "0", "1", ImpactNone},
	} {
		ev := &Event{Kind: KindAuditConfig, What: []byte(tt.what), Old: []byte(tt.old), New: []byte(tt.new)}
		if got := AuditImpact(ev); got != tt.want || len(AuditEffect(ev)) == 0 {
			t.Errorf("%s from %q to %q: impact %d, want %d; %q", tt.what, tt.old, tt.new, got, tt.want, AuditEffect(ev))
		}
		ev.Res = False
		if got := AuditImpact(ev); got != ImpactNone {
			t.Errorf("%s from %q to %q was refused, and has impact %d", tt.what, tt.old, tt.new, got)
		}
	}
	for _, what := range Whats() {
		if ev := (&Event{Kind: KindAuditConfig, What: []byte(what)}); len(AuditEffect(ev)) == 0 {
			t.Errorf("nothing is said of %s", what)
		}
	}
}

// TestAuditChangesCostNoAllocation: who may change audit may do so as often as he
// likes.
func TestAuditChangesCostNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	records := readRecords(t, "testdata/auditconfig.txt")
	var d Decoder
	var ev Event
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range records {
			Classify(r.typ, r.text)
			d.Decode(&ev, r.typ, r.text)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
}

func ExampleDecoder_Decode_auditConfig() {
	var d Decoder
	var ev Event
	d.Decode(&ev, TypeAuditConfigChange, []byte("audit(1796082676.286:1442817): op=set audit_enabled=0 old=1 auid=1000 ses=3 res=1"))
	fmt.Printf("%s by %d: %s\n", ev.What, ev.AUID, ev.Effect)
	// Output:
	// audit_disabled by 1000: from here on the kernel records neither who caused a denial nor who changes audit; denials themselves are still recorded
}
