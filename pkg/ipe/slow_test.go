package ipe

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// slowDecode is a second parser, written from the grammars in the comments of
// this package and of internal/auditrec, without regard to speed and sharing
// nothing with the first but the type Event. It is the judge in FuzzDecode.
func slowDecode(typ uint16, text []byte) (Class, *Event) {
	ev := &Event{}
	if typ == 1305 || typ == 1335 {
		return slowAuditConfig(typ, text)
	}
	if !slices.Contains([]uint16{1403, 1404, 1405, 1420, 1421, 1422, 1423, 1802, 1807, 1808, 1809, 1810, 1811}, typ) {
		return ClassForeign, ev
	}
	body, stamped, time, serial := slowStamp(string(text))
	body = slowTrim(body)
	class, kind, dialect := slowIdentify(typ, body)
	if class != ClassIPE {
		return class, ev
	}
	var d Dialect = DialectRFC
	if dialect == "mainline" {
		d = DialectMainline
	}
	ok := false
	switch {
	case kind == KindUnparsed:
	case dialect == "ctx0":
		ev.Kind = kind
		ev.Enforcing, ok = map[string]Bool{
			"IPE switched to enforce mode":    True,
			"IPE switched to permissive mode": False,
		}[body]
	default:
		ev.Kind = kind
		ok = slowRead(ev, dialect, strings.TrimPrefix(body, slowPrefix[dialect]))
	}
	if !ok {
		ev = &Event{}
	}
	ev.Type, ev.Dialect, ev.Raw = typ, d, text
	if stamped {
		ev.Has |= HasStamp
		ev.Time, ev.Serial = time, serial
	}
	return ClassIPE, ev
}

var slowPrefix = map[string]string{"ctx": "IPE "}

var stampForm = regexp.MustCompile(`(?s)^audit\(([0-9]{1,19})\.([0-9]{3}):([0-9]{1,19})\):( ?)(.*)$`)

func slowStamp(text string) (body string, ok bool, time int64, serial uint64) {
	m := stampForm.FindStringSubmatch(text)
	if m == nil {
		return text, false, 0, 0
	}
	sec, _ := strconv.ParseUint(m[1], 10, 64)
	msec, _ := strconv.ParseUint(m[2], 10, 64)
	serial, _ = strconv.ParseUint(m[3], 10, 64)
	if sec > math.MaxInt64/1000-1 {
		return text, false, 0, 0
	}
	return m[5], true, int64(sec*1000 + msec), serial
}

func slowTrim(body string) string {
	body = strings.TrimRight(strings.TrimLeft(body, " "), " \x00\r\n")
	if i := strings.LastIndexByte(body, 0x1d); i >= 0 {
		fields, ok := slowFields(body[i+1:], false)
		if n := len(fields); n > 0 && fields[n-1].value == torn {
			ok = true // the last of them may be
		}
		for _, f := range fields {
			if strings.ContainsAny(f.key, "abcdefghijklmnopqrstuvwxyz") {
				ok = false
			}
		}
		if ok {
			body = body[:i]
		}
	}
	return strings.TrimRight(body, " \x00\r\n")
}

// torn stands for a value whose quote is never closed.
const torn = "\x00torn"

type slowField struct{ key, value string }

// slowFields splits text into fields; ok is false when it met anything else,
// where it stopped, or, with skip, which it left out unless a quote was open.
func slowFields(text string, skip bool) (fields []slowField, ok bool) {
	ok = true
	for {
		text = strings.TrimLeft(text, " ")
		if text == "" {
			return fields, ok
		}
		eq := strings.IndexAny(text, `=" `)
		if eq <= 0 || text[eq] != '=' {
			if ok = false; !skip {
				return fields, ok
			}
			i := strings.IndexByte(text, ' ')
			if i < 0 {
				return fields, ok
			}
			text = text[i:]
			continue
		}
		key, rest := text[:eq], text[eq+1:]
		end := slowValueEnd(key, rest)
		if end < 0 {
			return append(fields, slowField{key, torn}), false
		}
		fields = append(fields, slowField{key, rest[:end]})
		text = rest[end:]
	}
}

// slowValueEnd tries every place where the value could end, in order.
func slowValueEnd(key, text string) int {
	for end := 0; end <= len(text); end++ {
		if end < len(text) && text[end] != ' ' {
			continue // a value ends at a blank or at the end
		}
		v := text[:end]
		switch {
		case key == "rule":
			if strings.HasPrefix(v, `"`) && (strings.HasSuffix(v[1:], ` action=ALLOW"`) || strings.HasSuffix(v[1:], ` action=DENY"`)) {
				return end
			}
		case strings.HasPrefix(v, `"`):
			if len(v) > 1 && strings.HasSuffix(v, `"`) {
				return end
			}
		default:
			return end
		}
	}
	return -1
}

var slowAlgs = []string{"sha1", "sha256", "sha384", "sha512"}

// slowIdentify says whose record it is.
func slowIdentify(typ uint16, body string) (Class, Kind, string) {
	switch {
	case body == "":
		return ClassEmpty, 0, ""
	case strings.HasPrefix(body, "IPE switched to "):
		return ClassIPE, KindEnforcement, "ctx0"
	case strings.HasPrefix(body, "IPE "):
		return ClassIPE, slowCtxKind(typ, body[4:]), "ctx"
	case body == "IPE", strings.HasPrefix(body, "IPE="):
		return ClassIPE, KindUnparsed, "ctx0"
	}
	fields, _ := slowFields(body, true)
	byType := map[uint16]Kind{1403: KindPolicyLoad, 1404: KindEnforcement, 1405: KindPolicyActivate,
		1421: KindPolicyActivate, 1422: KindPolicyLoad, 1420: KindAccess}
	guess, dialect := KindUnparsed, ""
	for _, f := range fields {
		switch {
		case f.key == "ipe_op" || f.key == "ipe_hook":
			return ClassIPE, KindAccess, "mainline"
		case f.key == "policy_digest":
			return ClassIPE, KindPolicyLoad, "mainline"
		case f.key == "old_policy_digest" || f.key == "new_policy_digest":
			return ClassIPE, KindPolicyActivate, "mainline"
		case slices.Contains(slowAlgs, f.key):
			return ClassIPE, KindPolicyLoad, "rfc8"
		case len(f.key) > 4 && (f.key[:4] == "old_" || f.key[:4] == "new_") && slices.Contains(slowAlgs, f.key[4:]):
			return ClassIPE, KindPolicyActivate, "rfc8"
		case dialect == "" && (f.key == "policy_name" || f.key == "policy_version"):
			guess, dialect = KindPolicyLoad, "mainline"
		case dialect == "" && slices.Contains([]string{"old_active_pol_name", "old_active_pol_version", "new_active_pol_name", "new_active_pol_version"}, f.key):
			guess, dialect = KindPolicyActivate, "mainline"
		case dialect == "" && typ == 1420 && (f.key == "path" || f.key == "rule"):
			guess, dialect = KindAccess, "rfc8"
		case f.key == "domain" || f.key == "blockers":
			if f.value != torn {
				return ClassLandlock, 0, ""
			}
		case strings.HasPrefix(f.key, "subj_") || strings.HasPrefix(f.key, "obj_"):
			if f.value != torn {
				return ClassLSMContext, 0, ""
			}
		case f.key == "lsm":
			switch f.value {
			case torn, "?", "":
			case `ipe`, `"ipe"`:
				if dialect != "" {
					break
				}
				guess, dialect = byType[typ], "mainline"
				if typ == 1403 || typ == 1405 || typ == 1420 {
					dialect = "rfc8"
				}
			default:
				return ClassOtherLSM, 0, ""
			}
		}
	}
	switch {
	case dialect != "":
		return ClassIPE, guess, dialect
	case typ == 1404:
		return ClassOtherLSM, 0, ""
	}
	return ClassForeign, 0, ""
}

func slowCtxKind(typ uint16, body string) Kind {
	fields, _ := slowFields(body, true)
	guess := KindUnparsed
	for _, f := range fields {
		switch f.key {
		case "ctx_pid", "ctx_op", "ctx_hook", "ctx_enforce", "ctx_ns_enforce", "ctx_comm", "ctx_pathname",
			"ctx_audit_pathname", "ctx_ino", "ctx_dev":
			return KindAccess
		case "enforce", "mode":
			return KindEnforcement
		}
		if guess != KindUnparsed {
			continue
		}
		switch f.key {
		case "rule":
			guess = KindAccess
		case "policy_name", "policy_version", "sha1", "sha256", "sha384", "sha512":
			guess = map[uint16]Kind{1421: KindPolicyLoad, 1808: KindPolicyLoad, 1403: KindPolicyLoad,
				1422: KindPolicyActivate, 1809: KindPolicyActivate, 1405: KindPolicyActivate}[typ]
		}
	}
	return guess
}

// slowMeaning says what the keys of each dialect mean, by kind.
var slowMeaning = map[string]map[Kind]string{
	"mainline": {
		KindAccess: "ipe_op=op ipe_hook=hook enforcing=enforcing old_enforcing=old_enforcing pid=pid comm=comm " +
			"path=path dev=dev ino=ino rule=rule auid=auid uid=uid ses=ses lsm=lsm res=res",
		KindPolicyLoad: "policy_name=name policy_version=version policy_digest=digest new_active_pol_name=name " +
			"new_active_pol_version=version new_policy_digest=digest auid=auid uid=uid ses=ses lsm=lsm res=res errno=errno",
		KindPolicyActivate: "policy_name=name policy_version=version policy_digest=digest new_active_pol_name=name " +
			"new_active_pol_version=version new_policy_digest=digest old_active_pol_name=old_name " +
			"old_active_pol_version=old_version old_policy_digest=old_digest auid=auid uid=uid ses=ses lsm=lsm res=res",
		KindEnforcement: "enforcing=enforcing old_enforcing=old_enforcing enabled=enabled old-enabled=old_enabled " +
			"auid=auid uid=uid ses=ses lsm=lsm res=res",
	},
	"rfc8": {
		KindAccess: "path=path dev=dev ino=ino rule=rule pid=pid comm=comm auid=auid uid=uid ses=ses lsm=lsm res=res",
		KindPolicyLoad: "policy_name=name policy_version=version new_active_pol_name=name new_active_pol_version=version " +
			"sha1=hash sha256=hash sha384=hash sha512=hash auid=auid uid=uid ses=ses lsm=lsm res=res",
		KindPolicyActivate: "policy_name=name policy_version=version new_active_pol_name=name new_active_pol_version=version " +
			"sha1=hash sha256=hash sha384=hash sha512=hash new_sha1=new_hash new_sha256=new_hash new_sha384=new_hash " +
			"new_sha512=new_hash old_sha1=old_hash old_sha256=old_hash old_sha384=old_hash old_sha512=old_hash " +
			"old_active_pol_name=old_name old_active_pol_version=old_version auid=auid uid=uid ses=ses lsm=lsm res=res",
	},
	"ctx": {
		KindAccess: "ctx_pid=pid ctx_op=op ctx_hook=hook ctx_enforce=enforcing ctx_ns_enforce=enforcing enforce=enforcing " +
			"ctx_comm=comm ctx_pathname=path ctx_audit_pathname=rawpath ctx_ino=ino ctx_dev=rawdev rule=rule",
		KindPolicyLoad:     "policy_name=name policy_version=version sha1=hash sha256=hash sha384=hash sha512=hash",
		KindPolicyActivate: "policy_name=name policy_version=version sha1=hash sha256=hash sha384=hash sha512=hash",
		KindEnforcement:    "enforce=enforcing ctx_enforce=enforcing ctx_ns_enforce=enforcing mode=mode",
	},
}
