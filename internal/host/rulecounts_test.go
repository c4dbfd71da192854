package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRulesAreCountedByWhatTheyDoToRecordsOfIPE(t *testing.T) {
	t.Parallel()
	var rules []AuditRule
	for _, data := range [][]byte{
		wire(listExclude, actionAlways, auditField{fieldMsgType, opEqual, 1420}),
		wire(listExclude, actionNever, auditField{fieldMsgType, opEqual, 1420}, auditField{fieldUID, opEqual, 7}),
		wire(listExclude, actionAlways, auditField{fieldMsgType, opEqual, 1327}),
		wire(listExclude, actionAlways, auditField{fieldMsgType, opEqual, 1112}), // a login: no concern of ours
		wire(listTask, actionNever),
		wire(listExit, actionNever),
		wire(listExit, actionAlways),
		wire(listExit, actionAlways),
		wire(listFS, actionNever),
	} {
		r, err := ParseAuditRule(data)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	want := RuleCounts{
		Total:     9,
		Exclude:   []ExcludedType{{Type: 1327, All: 1}, {Type: 1420, All: 1, Some: 1}},
		TaskNever: 1, ExitNever: 1, ExitAlways: 2, FSNever: 1,
	}
	if diff := cmp.Diff(want, CountRules(rules)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(RuleCounts{}, CountRules(nil)); diff != "" {
		t.Errorf("counts of no rule (-want +got):\n%s", diff)
	}
}
