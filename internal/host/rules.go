package host

import (
	"encoding/binary"
	"fmt"

	libaudit "github.com/elastic/go-libaudit/v2"
)

// The lists and the action of rules that matter here (AUDIT_FILTER_TASK,
// AUDIT_FILTER_EXIT, AUDIT_FILTER_EXCLUDE, AUDIT_FILTER_FS and AUDIT_NEVER in
// uapi/linux/audit.h).
const (
	listTask    = 1
	listExit    = 4
	listExclude = 5
	listFS      = 6
	actionNever = 0
)

// fieldMsgType is AUDIT_MSGTYPE.
const fieldMsgType = 12

// The comparisons of a field (uapi/linux/audit.h); the kernel turns older
// spellings into these.
const (
	opBitMask      = 0x08000000
	opLess         = 0x10000000
	opGreater      = 0x20000000
	opNotEqual     = opLess | opGreater
	opEqual        = 0x40000000
	opBitTest      = opBitMask | opEqual
	opLessEqual    = opLess | opEqual
	opGreaterEqual = opGreater | opEqual
)

// AuditRule is a rule of the kernel's audit filters (struct audit_rule_data in
// uapi/linux/audit.h), as far as it can matter to records of IPE.
type AuditRule struct {
	list, action uint32
	fields       []auditField
}

type auditField struct{ field, op, value uint32 }

const (
	maxRuleFields  = 64 // AUDIT_MAX_FIELDS
	ruleHeaderSize = 4 * (3 + 64 + 3*maxRuleFields + 1)
)

// AuditRules asks the kernel for its rules with AUDIT_LIST_RULES. It needs what
// QueryAudit needs.
func AuditRules() ([]AuditRule, error) {
	client, err := libaudit.NewAuditClient(nil)
	if err != nil {
		return nil, fmt.Errorf("open an audit socket: %w", err)
	}
	defer client.Close()
	raw, err := client.GetRules()
	if err != nil {
		return nil, fmt.Errorf("ask for the audit rules: %w", err)
	}
	rules := make([]AuditRule, 0, len(raw))
	for _, data := range raw {
		rule, err := ParseAuditRule(data)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// ParseAuditRule reads a rule as the kernel sends it.
func ParseAuditRule(data []byte) (AuditRule, error) {
	if len(data) < ruleHeaderSize {
		return AuditRule{}, fmt.Errorf("an audit rule of %d bytes, want at least %d", len(data), ruleHeaderSize)
	}
	word := func(i int) uint32 { return binary.NativeEndian.Uint32(data[4*i:]) }
	const fields = 3 + 64                                      // behind flags, action, field_count and the mask of system calls
	r := AuditRule{list: word(0) &^ (1 << 4), action: word(1)} // AUDIT_FILTER_PREPEND is no list
	n := word(2)
	if n > maxRuleFields {
		return AuditRule{}, fmt.Errorf("an audit rule of %d fields, want at most %d", n, maxRuleFields)
	}
	for i := range int(n) {
		r.fields = append(r.fields, auditField{
			field: word(fields + i), value: word(fields + maxRuleFields + i), op: word(fields + 2*maxRuleFields + i),
		})
	}
	return r, nil
}

// SkipsTasks reports whether the rule keeps tasks out of audit as they are
// made: their system calls are not recorded, and no record of IPE is followed by
// the one that names the user. IPE's own come all the same.
func (r AuditRule) SkipsTasks() bool { return r.list == listTask && r.action == actionNever }

// Excludes reports whether the rule takes records of a type away from every
// listener (audit_filter in kernel/auditfilter.c; the action does not matter
// there): all of them, or only some, as its other fields say.
func (r AuditRule) Excludes(recordType uint16) (some, all bool) {
	if r.list != listExclude {
		return false, false
	}
	all = true
	for _, f := range r.fields {
		if f.field != fieldMsgType {
			all = false
		} else if !compare(uint32(recordType), f.op, f.value) {
			return false, false
		}
	}
	return true, all
}

// compare is audit_comparator of kernel/auditfilter.c.
func compare(left, op, right uint32) bool {
	switch op {
	case opEqual:
		return left == right
	case opNotEqual:
		return left != right
	case opLess:
		return left < right
	case opLessEqual:
		return left <= right
	case opGreater:
		return left > right
	case opGreaterEqual:
		return left >= right
	case opBitMask:
		return left&right != 0
	case opBitTest:
		return left&right == right
	}
	return false
}
