package auditrec

// typeNames are the names of record types that can be IPE's events, have the
// number of one, or belong to one, without AUDIT_. Where several types have had one number, the
// first is the one of include/uapi/linux/audit.h today.
var typeNames = [...]struct {
	name   string
	typ    uint16
	auditd bool // auditd 3 and 4 write it (audit-userspace, lib/msg_typetab.h)
}{
	// companions of an access
	{"SYSCALL", 1300, true},
	{"PATH", 1302, true},
	{"CWD", 1307, true},
	{"EXECVE", 1309, true},
	{"EOE", 1320, true},
	{"PROCTITLE", 1327, true},
	{"CONFIG_CHANGE", 1305, true},
	{"EVENT_LISTENER", 1335, true},
	{"MAC_POLICY_LOAD", 1403, true}, // IPE's in RFC v8 and v9
	{"MAC_STATUS", 1404, true},
	{"MAC_CONFIG_CHANGE", 1405, true}, // IPE's in RFC v8 and v9
	{"IPE_ACCESS", 1420, false},
	{"IPE_CONFIG_CHANGE", 1421, false},
	{"IPE_POLICY_LOAD", 1422, false},
	{"LANDLOCK_ACCESS", 1423, false},
	{"LANDLOCK_DOMAIN", 1424, false},
	// RFC v7
	{"TRUST_RESULT", 1420, false},
	{"TRUST_POLICY_LOAD", 1421, false},
	{"TRUST_POLICY_ACTIVATE", 1422, false},
	{"TRUST_STATUS", 1423, false},
	// before and in RFC v1 to v6
	{"INTEGRITY_STATUS", 1802, true},
	{"INTEGRITY_POLICY_RULE", 1807, true},
	{"INTEGRITY_POLICY_LOAD", 1808, false},
	{"INTEGRITY_POLICY_ACTIVATE", 1809, false},
	{"INTEGRITY_EVENT", 1810, false},
	{"INTEGRITY_MODE", 1811, false},
}

// TypeByName returns the record type of that name, without AUDIT_. Only those
// that can be IPE's, have the number of one, or belong to one are known.
func TypeByName(name []byte) (typ uint16, ok bool) {
	for i := range typeNames {
		if t := &typeNames[i]; t.name == string(name) {
			return t.typ, true
		}
	}
	return 0, false
}

// TypeName returns the name that auditd writes for a record type that can be
// IPE's, empty where it has none, as for 1420 to 1422.
func TypeName(typ uint16) string {
	for i := range typeNames {
		if t := &typeNames[i]; t.typ == typ && t.auditd {
			return t.name
		}
	}
	return ""
}
