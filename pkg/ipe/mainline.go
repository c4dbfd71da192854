package ipe

// mainline is Linux 6.12 and later (security/ipe/audit.c), RFC v12 to v15,
// the policy records of v10 and v11, and Azure Linux, whose rules lack "op=",
// and whose access records may lack path, dev and ino:
//
//	1420  ipe_op=EXECUTE ipe_hook=MMAP enforcing=1 pid=7 comm=U path=U dev=U ino=9 rule="..."
//	1421  old_active_pol_name="a" old_active_pol_version=1.0.0 old_policy_digest=sha256:HEX
//	      new_active_pol_name="b" new_active_pol_version=1.0.0 new_policy_digest=sha256:HEX
//	      auid=0 ses=1 lsm=ipe res=1
//	1422  policy_name="a" policy_version=1.0.0 policy_digest=sha256:HEX auid=0 ses=1 lsm=ipe
//	      res=1 errno=0
//	1404  enforcing=0 old_enforcing=1 auid=0 ses=1 enabled=1 old-enabled=1 lsm=ipe res=1
//
// U is an untrusted string. The kernel prints "?" for what it does not know.
// errno came with 6.16. When the crypto API failed, kernels before 6.17 leave
// the policy out and begin with auid: then lsm=ipe and the type tell.
var mainline = dialect{
	id: DialectMainline,
	keys: []key{
		{"ipe_op", fieldOp, settles, KindAccess},
		{"ipe_hook", fieldHook, settles, KindAccess},
		{name: "enforcing", field: fieldEnforcing},
		{name: "pid", field: fieldPID},
		{name: "comm", field: fieldComm},
		{name: "path", field: fieldPath},
		{name: "dev", field: fieldDev},
		{name: "ino", field: fieldIno},
		{name: "rule", field: fieldRule},

		{"old_active_pol_name", fieldOldName, presumes, KindPolicyActivate},
		{"old_active_pol_version", fieldOldVersion, presumes, KindPolicyActivate},
		{"old_policy_digest", fieldOldDigest, settles, KindPolicyActivate},
		{"new_active_pol_name", fieldName, presumes, KindPolicyActivate},
		{"new_active_pol_version", fieldVersion, presumes, KindPolicyActivate},
		{"new_policy_digest", fieldDigest, settles, KindPolicyActivate},

		{"policy_name", fieldName, presumes, KindPolicyLoad},
		{"policy_version", fieldVersion, presumes, KindPolicyLoad},
		{"policy_digest", fieldDigest, settles, KindPolicyLoad},
		{name: "auid", field: fieldAUID},
		{name: "ses", field: fieldSES},
		{name: "lsm", field: fieldLSM},
		{name: "res", field: fieldRes},
		{name: "errno", field: fieldErrno},

		{name: "old_enforcing", field: fieldOldEnforcing},
		{name: "enabled", field: fieldEnabled},
		{name: "old-enabled", field: fieldOldEnabled},
		{name: "uid", field: fieldUID},
	},
	kind: func(typ uint16) Kind {
		switch typ {
		case TypeMACStatus:
			return KindEnforcement
		case TypeConfigChange:
			return KindPolicyActivate
		case TypePolicyLoad:
			return KindPolicyLoad
		}
		return KindUnparsed
	},
}
