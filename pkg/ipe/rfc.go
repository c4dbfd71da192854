package ipe

// rfc8 is RFC v8 and v9, and the access records of v10 and v11, which have no
// ipe_op (2022 and 2023):
//
//	1420  path=U dev=U ino=9 rule="..."
//	1403  policy_name="a" policy_version=1.0.0 sha256=HEX auid=0 ses=1 lsm=ipe res=1
//	1405  old_active_pol_name="a" old_active_pol_version=1.0.0 old_sha256=HEX
//	      new_active_pol_name="b" new_active_pol_version=1.0.0 new_sha256=HEX auid=0 ...
//
// The policy records differ from mainline's in the digest alone. Where there
// is no file, an access record begins with its rule.
var rfc8 = dialect{
	id: DialectRFC,
	keys: []key{
		{"path", fieldPath, presumesType, KindAccess},
		{name: "dev", field: fieldDev},
		{name: "ino", field: fieldIno},
		{"rule", fieldRule, presumesType, KindAccess},

		{name: "old_active_pol_name", field: fieldOldName},
		{name: "old_active_pol_version", field: fieldOldVersion},
		{"old_sha1", fieldOldDigestAlg, settles, KindPolicyActivate},
		{"old_sha256", fieldOldDigestAlg, settles, KindPolicyActivate},
		{"old_sha384", fieldOldDigestAlg, settles, KindPolicyActivate},
		{"old_sha512", fieldOldDigestAlg, settles, KindPolicyActivate},
		{name: "new_active_pol_name", field: fieldName},
		{name: "new_active_pol_version", field: fieldVersion},
		{"new_sha1", fieldNewDigestAlg, settles, KindPolicyActivate},
		{"new_sha256", fieldNewDigestAlg, settles, KindPolicyActivate},
		{"new_sha384", fieldNewDigestAlg, settles, KindPolicyActivate},
		{"new_sha512", fieldNewDigestAlg, settles, KindPolicyActivate},

		{name: "policy_name", field: fieldName},
		{name: "policy_version", field: fieldVersion},
		{"sha1", fieldDigestAlg, settles, KindPolicyLoad},
		{"sha256", fieldDigestAlg, settles, KindPolicyLoad},
		{"sha384", fieldDigestAlg, settles, KindPolicyLoad},
		{"sha512", fieldDigestAlg, settles, KindPolicyLoad},

		{name: "auid", field: fieldAUID},
		{name: "ses", field: fieldSES},
		{name: "lsm", field: fieldLSM},
		{name: "res", field: fieldRes},
		{name: "pid", field: fieldPID},
		{name: "comm", field: fieldComm},
		{name: "uid", field: fieldUID},
	},
	kind: func(typ uint16) Kind {
		switch typ {
		case TypeAccess:
			return KindAccess
		case typeMACPolicyLoad:
			return KindPolicyLoad
		case typeMACConfigChange:
			return KindPolicyActivate
		}
		return KindUnparsed
	},
}

// ctx is RFC v1 to v7 (2020 and 2021), whose access fields begin with "ctx_":
//
//	1420  IPE ctx_pid=7 ctx_op=EXECUTE ctx_hook=EXECVE ctx_enforce=1 ctx_comm=U ctx_pathname=U
//	      ctx_ino=9 ctx_dev=vda rule="..."
//	1421  IPE policy_name="a" policy_version=1.0.0 sha256=HEX (load)
//	1422  IPE policy_name="a" policy_version=1.0.0 sha256=HEX (activate)
//	1423  IPE enforce=1
//	1810  IPE ctx_pid=7 ... ctx_audit_pathname="raw" ... prop_boot_verified=TRUE ... rule="..."
//	1808  IPE policy_name="a" policy_version=1.0.0 sha1=HEX (load)
//	1809  IPE policy_name="a" policy_version=1.0.0 (activate)
//	1811  IPE mode=enforce
//
// v7's mail (8802b1ff-3028-642a-22c5-bc4896450a60@linux.microsoft.com) and its
// code (1634151995-16266-1-git-send-email-deven.desai@linux.microsoft.com,
// 07/16) differ: the code prints ctx_ns_enforce, the policy name without
// quotes, and comm and path as 32 and 8192 hex digits, garbage behind the
// first NUL. The prop_ fields say what is true of the file, not what the rule
// asked for; they are kept as unknown keys.
var ctx = dialect{
	id:     DialectRFC,
	prefix: "IPE ",
	keys: []key{
		{"ctx_pid", fieldPID, settles, KindAccess},
		{"ctx_op", fieldOp, settles, KindAccess},
		{"ctx_hook", fieldHook, settles, KindAccess},
		{"ctx_enforce", fieldEnforcing, settles, KindAccess},
		{"ctx_ns_enforce", fieldEnforcing, settles, KindAccess},
		{"ctx_comm", fieldComm, settles, KindAccess},
		{"ctx_pathname", fieldPath, settles, KindAccess},
		{"ctx_audit_pathname", fieldRawPath, settles, KindAccess},
		{"ctx_ino", fieldIno, settles, KindAccess},
		{"ctx_dev", fieldRawDev, settles, KindAccess},
		{"rule", fieldRule, presumes, KindAccess},

		{name: "policy_name", field: fieldName, tells: presumesType},
		{name: "policy_version", field: fieldVersion, tells: presumesType},
		{name: "sha1", field: fieldDigestAlg, tells: presumesType},
		{name: "sha256", field: fieldDigestAlg, tells: presumesType},
		{name: "sha384", field: fieldDigestAlg, tells: presumesType},
		{name: "sha512", field: fieldDigestAlg, tells: presumesType},

		{"enforce", fieldEnforcing, settles, KindEnforcement},
		{"mode", fieldMode, settles, KindEnforcement},
	},
	kind: func(typ uint16) Kind {
		switch typ {
		case TypeConfigChange, typeIPEv1PolicyLoad, typeMACPolicyLoad: // 1421 was the load
			return KindPolicyLoad
		case TypePolicyLoad, typeIPEv1PolicyActivate, typeMACConfigChange: // and 1422 the activation
			return KindPolicyActivate
		}
		return KindUnparsed
	},
}

// ctx0 is the product code from before RFC v1, types 1807 and 1802:
//
//	IPE=ctx ( pid: [7] comm: [U] op: [execute] ... dev: [vda] )  [ action = deny ]
//	IPE switched to enforce mode
//
// The former is kept unparsed: it has raw strings between brackets, which a
// file name can forge, and no kernel in use prints it.
var ctx0 = dialect{
	id:     DialectRFC,
	prefix: "IPE switched to ",
	kind:   func(uint16) Kind { return KindEnforcement },
	sentence: func(ev *Event, rest []byte) bool {
		switch string(rest) {
		case "enforce mode":
			ev.Enforcing = True
		case "permissive mode":
			ev.Enforcing = False
		}
		return ev.Enforcing.Known()
	},
}
