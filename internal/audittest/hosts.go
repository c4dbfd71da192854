package audittest

import (
	"fmt"
	"time"
)

// HostLog is what one made-up host has to tell, and what is to be concluded.
type HostLog struct {
	Name  string
	Lines []string // events in JSON, as a sink writes them, without newlines

	Boots       int
	Denied      uint64
	WouldDeny   uint64
	Policy      string // version in force at the end
	Enforcing   bool
	Ready       bool // nothing would be denied by the policy in force
	First, Last time.Time
}

// HostLogs makes up n hosts, always the same ones. All are clones of one image:
// their spools have the same ids, and their records the same serials. Of three
// hosts one has two boots, one has a policy that is activated late and denies
// nothing, and one is enforcing at the end.
func HostLogs(n int) []HostLog {
	list := make([]HostLog, n)
	for i := range list {
		list[i] = hostLog(i)
	}
	return list
}

func hostLog(i int) HostLog {
	h := HostLog{Name: fmt.Sprintf("host%05d", i), Policy: "1.0.0"}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	h.First = at
	var spool, boot string
	seq, serial, version, enforcing := 0, 0, "1.0.0", false
	line := func(format string, args ...any) {
		seq++
		h.Lines = append(h.Lines, fmt.Sprintf(`{"spool":"%s","seq":%d,"time":"%s",`, spool, seq, at.Format("2006-01-02T15:04:05.000Z"))+
			fmt.Sprintf(format, args...)+fmt.Sprintf(`,"host":"%s","boot_id":"%s"}`, h.Name, boot))
		h.Last = at
		at = at.Add(time.Minute)
	}
	start := func(n int) {
		seq, serial = 0, 0
		h.Boots++
		spool, boot = fmt.Sprintf("00000000000000a%d", n), fmt.Sprintf("%08x-0000-4000-8000-00000000000%d", i, n)
		line(`"event":"started","enforcing":%v,"policy_name":"corp","policy_version":"%s","policy_digest":"sha256:aa","ipe_status":"active","success_audit":false`, enforcing, version)
	}
	access := func(path string) {
		serial++
		verdict := "would_deny"
		if enforcing {
			verdict = "denied"
			h.Denied++
		} else {
			h.WouldDeny++
		}
		line(`"serial":%d,"type":1420,"event":"access","dialect":"mainline","verdict":"%s","ipe_op":"EXECUTE","ipe_hook":"BPRM_CHECK","comm":"sh","path":"%s","dev":"vda","rule":"DEFAULT op=EXECUTE action=DENY","enforcing":%v,"pid":%d,"ino":%d,"rule_kind":"op_default","action":"DENY","active_policy_name":"corp","active_policy_version":"%s","active_policy_digest":"sha256:aa"`,
			serial, verdict, path, enforcing, 100+i, i, version)
	}
	start(1)
	access("/opt/a")
	access("/opt/b")
	if i%3 == 1 {
		serial++
		version = "2.0.0"
		line(`"serial":%d,"type":1421,"event":"policy_activate","dialect":"mainline","policy_name":"corp","policy_version":"2.0.0","policy_digest":"sha256:aa","old_policy_name":"corp","old_policy_version":"1.0.0","old_policy_digest":"sha256:aa","lsm":"ipe","res":true`, serial)
		h.Ready = true
	}
	if i%3 == 2 {
		serial++
		enforcing = true
		line(`"serial":%d,"type":1404,"event":"enforcement","dialect":"mainline","enforcing":true,"old_enforcing":false,"lsm":"ipe","res":true`, serial)
		access("/opt/c")
	}
	line(`"event":"stopped"`)
	if i%3 == 0 {
		start(2)
		access("/opt/a")
		line(`"event":"stopped"`)
	}
	h.Policy, h.Enforcing = version, enforcing
	return h
}
