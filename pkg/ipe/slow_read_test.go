package ipe

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// slowRead reads the fields of a record whose kind and dialect are known.
func slowRead(ev *Event, dialect, body string) bool {
	fields, ok := slowFields(body, false)
	if !ok {
		return false
	}
	meaning := map[string]string{}
	for _, pair := range strings.Fields(slowMeaning[dialect][ev.Kind]) {
		key, m, _ := strings.Cut(pair, "=")
		meaning[key] = m
	}
	seen := map[string]bool{}
	for _, f := range fields {
		m := meaning[f.key]
		if seen[m] && seen["rawpath"] {
			return false
		}
		if m == "" || seen[m] {
			ev.Extra = append(ev.Extra, KeyValue{[]byte(f.key), []byte(f.value)})
			continue
		}
		seen[m] = true
		if f.value == "" || f.value == "?" {
			continue
		}
		if !slowSet(ev, dialect, m, f) {
			ev.Extra = append(ev.Extra, KeyValue{[]byte(f.key), []byte(f.value)})
		}
	}
	if ev.Kind == KindAccess {
		if ev.Rule == nil {
			return false
		}
		slowRule(ev)
	}
	return true
}

func slowSet(ev *Event, dialect, meaning string, f slowField) bool {
	quoted := strings.HasPrefix(f.value, `"`)
	str := f.value
	if quoted {
		str = str[1 : len(str)-1]
	}
	untrusted := []byte(str)
	if b, ok := slowHex(str); ok && !quoted {
		untrusted = b
		if dialect != "mainline" {
			untrusted, _, _ = bytes.Cut(b, []byte{0})
		}
	}
	number := func(n *uint64, has Has) bool {
		u, err := strconv.ParseUint(f.value, 10, 64)
		if err != nil || len(f.value) > 20 {
			return false
		}
		*n = u
		ev.Has |= has
		return true
	}
	id := func(n *uint32, has Has) bool {
		u, err := strconv.ParseUint(f.value, 10, 32)
		if err != nil || len(f.value) > 20 {
			return false
		}
		if u != math.MaxUint32 {
			*n = uint32(u)
			ev.Has |= has
		}
		return true
	}
	boolean := func(b *Bool, no, yes string) bool {
		v, ok := map[string]Bool{no: False, yes: True}[f.value]
		if ok {
			*b = v
		}
		return ok
	}
	digest := func(alg, text string) []byte {
		return []byte(alg + ":" + slowLower(text))
	}
	switch meaning {
	case "op":
		ev.Op = []byte(str)
	case "hook":
		ev.Hook = []byte(str)
	case "enforcing":
		return boolean(&ev.Enforcing, "0", "1")
	case "old_enforcing":
		return boolean(&ev.OldEnforcing, "0", "1")
	case "mode":
		return boolean(&ev.Enforcing, "permissive", "enforce")
	case "pid":
		return number(&ev.PID, HasPID)
	case "ino":
		return number(&ev.Ino, HasIno)
	case "comm":
		ev.Comm = untrusted
	case "path":
		ev.Path = untrusted
	case "dev":
		ev.Dev = untrusted
	case "rawpath":
		if quoted {
			ev.Path = []byte(str)
		}
		return quoted
	case "rawdev":
		ev.Dev = []byte(str)
	case "rule":
		ev.Rule = []byte(str)
	case "name":
		ev.Policy.Name = []byte(str)
	case "version":
		ev.Policy.Version = []byte(str)
	case "old_name":
		ev.OldPolicy.Name = []byte(str)
	case "old_version":
		ev.OldPolicy.Version = []byte(str)
	case "digest", "old_digest":
		p := &ev.Policy
		if meaning == "old_digest" {
			p = &ev.OldPolicy
		}
		if alg, hex, ok := strings.Cut(str, ":"); ok {
			p.Digest = digest(alg, hex)
		} else {
			p.Digest = []byte(slowLower(str))
		}
	case "hash":
		ev.Policy.Digest = digest(f.key, str)
	case "new_hash":
		ev.Policy.Digest = digest(f.key[4:], str)
	case "old_hash":
		ev.OldPolicy.Digest = digest(f.key[4:], str)
	case "auid":
		return id(&ev.AUID, HasAUID)
	case "uid":
		return id(&ev.UID, HasUID)
	case "ses":
		return id(&ev.SES, HasSES)
	case "lsm":
		ev.LSM = []byte(str)
	case "res":
		return boolean(&ev.Res, "0", "1")
	case "errno":
		i, err := strconv.ParseInt(f.value, 10, 64)
		if err != nil || f.value[0] == '+' || len(strings.TrimPrefix(f.value, "-")) > 20 {
			return false
		}
		ev.Errno = i
		ev.Has |= HasErrno
	case "enabled", "old_enabled":
		return f.value == "1"
	default:
		panic(fmt.Sprintf("no such meaning: %s", meaning))
	}
	return true
}

func slowHex(s string) ([]byte, bool) {
	if s == "" || strings.ContainsAny(s, "abcdef") {
		return nil, false
	}
	b, err := hex.DecodeString(s)
	return b, err == nil
}

// slowLower lower-cases text that is nothing but hex digits.
func slowLower(s string) string {
	if strings.Trim(s, "0123456789abcdefABCDEF") == "" {
		return strings.ToLower(s)
	}
	return s
}

func slowRule(ev *Event) {
	rule := string(ev.Rule)
	i := strings.LastIndex(rule, " action=")
	ev.Action = map[string]Action{"ALLOW": ActionAllow, "DENY": ActionDeny}[rule[i+len(" action="):]]
	switch {
	case ev.Action == ActionAllow:
		ev.Verdict = VerdictAllowed
	case ev.Enforcing == True:
		ev.Verdict = VerdictDenied
	case ev.Enforcing == False:
		ev.Verdict = VerdictWouldDeny
	default:
		ev.Verdict = VerdictUnknown
	}
	words := strings.Split(strings.TrimRight(rule[:i], " "), " ")
	if words[0] == "DEFAULT" {
		ev.RuleKind = RuleGlobalDefault
		if len(words) > 1 {
			ev.RuleKind = RuleOpDefault
		}
		return
	}
	ev.RuleKind = RuleExplicit
	for i, w := range words {
		if w == "" || strings.HasPrefix(w, "op=") || i == 0 && !strings.Contains(w, "=") {
			continue
		}
		ev.RuleProperties = append(ev.RuleProperties, slowProperty(w))
	}
}

var (
	slowQuotedDigest = regexp.MustCompile(`(?s)^"(.*)":([^:]*)$`)
	slowQuoted       = regexp.MustCompile(`(?s)^"(.*)"$`)
)

func slowProperty(w string) []byte {
	name, value, _ := strings.Cut(w, "=")
	isDigest := name == "dmverity_roothash" || name == "fsverity_digest"
	if m := slowQuoted.FindStringSubmatchIndex(value); m != nil {
		return []byte(name + "=" + value[m[2]:m[3]])
	}
	if m := slowQuotedDigest.FindStringSubmatchIndex(value); m != nil {
		return []byte(name + "=" + value[m[2]:m[3]] + ":" + slowLower(value[m[4]:]))
	}
	if strings.HasPrefix(value, `"`) {
		return []byte(w)
	}
	if i := strings.LastIndexByte(value, ':'); isDigest && i > 0 {
		alg := value[:i]
		if b, ok := slowHex(alg); ok {
			alg = string(b)
		}
		return []byte(name + "=" + alg + ":" + slowLower(value[i+1:]))
	}
	if b, ok := slowHex(value); ok && name == "intended_pathname" {
		return []byte(name + "=" + string(b))
	}
	return []byte(w)
}

// slowAuditConfig is slowDecode for records of types 1305 and 1335.
func slowAuditConfig(typ uint16, text []byte) (Class, *Event) {
	body, stamped, time, serial := slowStamp(string(text))
	body = slowTrim(body)
	if body == "" {
		return ClassEmpty, &Event{}
	}
	first := map[string]string{}
	setting := ""
	for len(body) > 0 {
		m := regexp.MustCompile(`(?s)^ *(?:([^=" ]+)=("(?:.*?)"(?: |$)|"|[^ ]*)|[^ ]*)`).FindStringSubmatch(body)
		body = body[len(m[0]):]
		key, value := m[1], strings.TrimSuffix(m[2], " ")
		if value == `"` {
			break
		}
		if _, again := first[key]; key == "" || again {
			continue
		}
		first[key] = value
		if setting == "" && slices.Contains([]string{"audit_enabled", "audit_rate_limit", "audit_backlog_limit", "audit_backlog_wait_time", "audit_failure", "audit_pid", "lost"}, key) {
			setting = key
		}
	}
	what := map[string]string{
		"audit_rate_limit": "rate_limit", "audit_backlog_limit": "backlog_limit", "audit_backlog_wait_time": "backlog_wait_time",
		"audit_failure": "failure", "audit_pid": "auditd", "lost": "lost_reset",
	}[setting]
	ev := &Event{Kind: KindAuditConfig, Type: typ, Raw: text}
	decimal := regexp.MustCompile(`^[0-9]{1,20}$`)
	number := func(s string, bits int) (uint64, bool) {
		n, err := strconv.ParseUint(s, 10, bits)
		return n, err == nil && decimal.MatchString(s)
	}
	op, hasList := first["op"], false
	_, hasList = first["list"]
	list := map[string]string{"5": "exclude", "1": "task"}[first["list"]]
	switch {
	case typ == 1335 && op == "connect":
		what, ev.Old, ev.New = "listener", []byte("absent"), []byte("present")
	case typ == 1335 && op == "disconnect":
		what, ev.Old, ev.New = "listener", []byte("present"), []byte("absent")
	case typ == 1335:
		return ClassForeign, &Event{}
	case op == "add_rule" || op == "remove_rule":
		if list == "" && (hasList || setting != "audit_enabled") {
			return ClassForeign, &Event{}
		}
		what = map[string]string{"add_rule": "rule_added", "remove_rule": "rule_removed"}[op]
		if list != "" && op == "add_rule" {
			ev.New = []byte(list)
		} else if list != "" {
			ev.Old = []byte(list)
		}
	case op == "set" || op == "":
		from, ok1 := number(first["old"], 64)
		to, ok2 := number(first[setting], 64)
		if setting == "" || !ok1 || !ok2 || from == to && first["res"] != "0" {
			return ClassForeign, &Event{}
		}
		if setting == "audit_enabled" {
			what = "audit_enabled"
			if s, ok := map[uint64]string{0: "audit_disabled", 2: "audit_locked"}[to]; ok {
				what = s
			}
		}
		ev.Old, ev.New = []byte(first["old"]), []byte(first[setting])
	default:
		return ClassForeign, &Event{}
	}
	ev.What = []byte(what)
	if stamped {
		ev.Has |= HasStamp
		ev.Time, ev.Serial = time, serial
	}
	id := func(key string, has Has, to *uint32) {
		if n, ok := number(first[key], 32); ok && n < math.MaxUint32 {
			*to = uint32(n)
			ev.Has |= has
		}
	}
	id("auid", HasAUID, &ev.AUID)
	id("ses", HasSES, &ev.SES)
	id("uid", HasUID, &ev.UID)
	if n, ok := number(first["pid"], 64); ok {
		ev.PID, ev.Has = n, ev.Has|HasPID
	}
	ev.Res = map[string]Bool{"0": False, "1": True}[first["res"]]
	str := func(key string, absent ...string) []byte {
		v, ok := first[key]
		switch {
		case !ok || v == "" || v == "?" || slices.Contains(absent, v):
			return nil
		case len(v) > 1 && v[0] == '"':
			return []byte(v[1 : len(v)-1])
		}
		if b, ok := slowHex(v); ok {
			return b
		}
		return []byte(v)
	}
	ev.Comm, ev.Exe = str("comm"), str("exe", "(null)", "(none)")
	if v := first["tty"]; v != "" && v != "?" && v != "(none)" && v != "(null)" {
		ev.TTY = []byte(strings.Trim(v, `"`))
	}
	return ClassIPE, ev
}
