package host

import (
	"encoding/binary"
	"testing"
)

const (
	actionAlways = 2 // AUDIT_ALWAYS
	fieldUID     = 1 // AUDIT_UID
)

// wire returns a rule as the kernel sends it (struct audit_rule_data).
func wire(list, action uint32, fields ...auditField) []byte {
	words := make([]uint32, ruleHeaderSize/4)
	words[0], words[1], words[2] = list, action, uint32(len(fields))
	for i, f := range fields {
		words[67+i], words[131+i], words[195+i] = f.field, f.value, f.op
	}
	var data []byte
	for _, w := range words {
		data = binary.NativeEndian.AppendUint32(data, w)
	}
	return data
}

func TestRulesSayWhatTheyTakeAway(t *testing.T) {
	t.Parallel()
	msgtype := func(op, value uint32) auditField { return auditField{fieldMsgType, op, value} }
	user := auditField{fieldUID, opEqual, 1000}
	for _, tt := range []struct {
		rule            string // as auditctl(8) takes it
		wire            []byte
		some, all, task bool // of type 1420
	}{
		{"-a always,exclude -F msgtype=1420", wire(listExclude, actionAlways, msgtype(opEqual, 1420)), true, true, false},
		{"-a never,exclude -F msgtype=1420", wire(listExclude, actionNever, msgtype(opEqual, 1420)), true, true, false},
		{"-A always,exclude -F msgtype=1420", wire(listExclude|0x10, actionAlways, msgtype(opEqual, 1420)), true, true, false},
		{"-a always,exclude -F msgtype=1421", wire(listExclude, actionAlways, msgtype(opEqual, 1421)), false, false, false},
		{"-a always,exclude -F msgtype>=1400 -F msgtype<=1499", wire(listExclude, actionAlways, msgtype(opGreaterEqual, 1400), msgtype(opLessEqual, 1499)), true, true, false},
		{"-a always,exclude -F msgtype>1420", wire(listExclude, actionAlways, msgtype(opGreater, 1420)), false, false, false},
		{"-a always,exclude -F msgtype<1420", wire(listExclude, actionAlways, msgtype(opLess, 1420)), false, false, false},
		{"-a always,exclude -F msgtype!=1300", wire(listExclude, actionAlways, msgtype(opNotEqual, 1300)), true, true, false},
		{"-a always,exclude -F msgtype&0x80", wire(listExclude, actionAlways, msgtype(opBitMask, 0x80)), true, true, false},
		{"-a always,exclude -F msgtype&=0x81", wire(listExclude, actionAlways, msgtype(opBitTest, 0x81)), false, false, false},
		{"-a always,exclude -F msgtype=1420 -F uid=1000", wire(listExclude, actionAlways, msgtype(opEqual, 1420), user), true, false, false},
		{"-a always,exclude -F uid=1000", wire(listExclude, actionAlways, user), true, false, false},
		{"-a never,task", wire(listTask, actionNever), false, false, true},
		{"-a always,task", wire(listTask, actionAlways), false, false, false},
		{"-a always,exit -F uid=1000", wire(listExit, actionAlways, user), false, false, false},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			r, err := ParseAuditRule(tt.wire)
			if err != nil {
				t.Fatal(err)
			}
			some, all := r.Excludes(1420)
			if some != tt.some || all != tt.all || r.SkipsTasks() != tt.task {
				t.Errorf("excludes some %v, all %v, skips tasks %v; want %v, %v, %v", some, all, r.SkipsTasks(), tt.some, tt.all, tt.task)
			}
		})
	}
}

func TestRulesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	many := wire(listExclude, actionAlways)
	binary.NativeEndian.PutUint32(many[8:], maxRuleFields+1)
	for _, data := range [][]byte{nil, make([]byte, ruleHeaderSize-1), many} {
		if r, err := ParseAuditRule(data); err == nil {
			t.Errorf("%d bytes are a rule: %+v", len(data), r)
		}
	}
}

func TestRunningKernelListsItsRules(t *testing.T) {
	t.Parallel()
	_, err := AuditRules()
	if _, statusErr := QueryAudit(); statusErr != nil {
		if err == nil {
			t.Error("the kernel lists its rules, but not its status")
		}
		t.Skipf("needs CAP_AUDIT_CONTROL and a kernel with audit: %v", statusErr)
	}
	if err != nil {
		t.Error(err)
	}
}
