package procinfo

import "bytes"

// Place is what the path of a control group says of where a process runs. The
// slices view the path, but for those that had to be unescaped.
type Place struct {
	Unit      []byte // of the system's service manager: nginx.service, session-3.scope
	UserUnit  []byte // of the user's
	Container []byte // id of docker, containerd, cri-o, podman; name of systemd-nspawn, LXC
	Pod       []byte // UID of the Kubernetes pod, with hyphens
}

// PlaceOf reads the path of a control group, from the root of its hierarchy.
//
// Units are found as journald does (cg_path_get_unit and cg_path_get_user_unit,
// src/basic/cgroup-util.c of systemd); of containers within containers the
// innermost is taken.
func PlaceOf(cgroup []byte) (p Place) {
	rest := skipSlices(cgroup)
	var inUnit []byte
	p.Unit, inUnit = cutUnit(rest)
	if isManager(p.Unit) {
		p.UserUnit, _ = cutUnit(skipSlices(inUnit))
	}
	for path, before := cgroup, []byte(nil); len(path) > 0; {
		var name []byte
		name, path = cutName(path)
		if id := containerOf(before, name); id != nil {
			p.Container = id
		}
		for part := range bytes.SplitSeq(name, []byte(":")) {
			if uid := podOf(part); uid != nil {
				p.Pod = uid
			}
		}
		before = name
	}
	return p
}

// cutName cuts the first name of a path.
func cutName(path []byte) (name, rest []byte) {
	for len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	name, rest, _ = bytes.Cut(path, []byte("/"))
	return name, rest
}

// skipSlices cuts the slices at the front of a path.
func skipSlices(path []byte) []byte {
	for {
		name, rest := cutName(path)
		if !bytes.HasSuffix(name, []byte(".slice")) || len(name) == len(".slice") {
			return path
		}
		path = rest
	}
}

// cutUnit cuts the name of a unit. unit is nil if there is none.
func cutUnit(path []byte) (unit, rest []byte) {
	name, rest := cutName(path)
	name = bytes.TrimPrefix(name, []byte("_")) // cg_unescape
	dot := bytes.LastIndexByte(name, '.')
	if dot <= 0 || len(name) > 255 {
		return nil, rest
	}
	switch string(name[dot+1:]) {
	case "service", "scope", "socket", "mount", "swap":
	default:
		return nil, rest
	}
	for _, c := range name[:dot] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && bytes.IndexByte([]byte(":-_.\\@"), c) < 0 {
			return nil, rest
		}
	}
	return name, rest
}

// isManager reports whether a unit is the service manager of a user.
func isManager(unit []byte) bool {
	uid, ok := bytes.CutPrefix(unit, []byte("user@"))
	uid, isService := bytes.CutSuffix(uid, []byte(".service"))
	return ok && isService && len(uid) > 0 && len(bytes.Trim(uid, "0123456789")) == 0
}

// containerOf returns the container that a control group is that of, nil if it is
// none; before is the name of the one above.
//
//	docker-ID.scope libpod-ID.scope crio-ID.scope cri-containerd-ID.scope nerdctl-ID.scope
//	ID                       below docker, kubepods/podUID, a namespace of containerd, ...
//	SLICE:cri-containerd:ID  of a runtime that makes no scopes
//	systemd-nspawn@NAME.service machine-NAME.scope
//	lxc.payload.NAME, NAME below lxc and lxc.payload
//
// Monitors (libpod-conmon-ID.scope, lxc.monitor.NAME) are outside of it.
func containerOf(before, name []byte) []byte {
	scope := bytes.TrimSuffix(name, []byte(".scope"))
	id := scope[bytes.LastIndexAny(scope, "-:")+1:]
	if isHex(id, 64) {
		if runtime := scope[:len(scope)-len(id)]; bytes.HasSuffix(runtime, []byte("conmon-")) {
			return nil
		}
		return id
	}
	if s, ok := bytes.CutPrefix(name, []byte("systemd-nspawn@")); ok {
		if s, ok = bytes.CutSuffix(s, []byte(".service")); ok {
			return nonEmpty(unescape(s))
		}
	}
	if s, ok := bytes.CutPrefix(scope, []byte("machine-")); ok && len(scope) < len(name) && !bytes.HasPrefix(s, []byte(`qemu\x2d`)) {
		return nonEmpty(unescape(s))
	}
	if s, ok := bytes.CutPrefix(name, []byte("lxc.payload.")); ok {
		return nonEmpty(s)
	}
	switch string(before) {
	case "lxc", "lxc.payload":
		return nonEmpty(name)
	}
	return nil
}

func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// podOf returns the UID of the pod that a control group is that of, nil if it is
// none: podUID, kubepods-besteffort-podUID.slice with underscores for hyphens. The
// UID of a static pod is the 32 digits of a hash.
func podOf(name []byte) []byte {
	name = bytes.TrimSuffix(name, []byte(".slice"))
	i := bytes.LastIndex(name, []byte("pod"))
	if i < 0 || i > 0 && name[i-1] != '-' {
		return nil
	}
	uid := name[i+len("pod"):]
	if isHex(uid, 32) {
		return uid
	}
	if len(uid) != 36 {
		return nil
	}
	out := bytes.ReplaceAll(uid, []byte("_"), []byte("-"))
	for at, c := range out {
		hyphen := at == 8 || at == 13 || at == 18 || at == 23
		if hyphen != (c == '-') || !hyphen && !isDigit(c) {
			return nil
		}
	}
	return out
}

// isHex reports whether s is that many hex digits in lower case.
func isHex(s []byte, length int) bool {
	for _, c := range s {
		if !isDigit(c) {
			return false
		}
	}
	return len(s) == length
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// unescape undoes what systemd does to the names of units: \x2d is a hyphen.
func unescape(s []byte) []byte {
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if len(s)-i >= 4 && s[i] == '\\' && s[i+1] == 'x' && isDigit(s[i+2]) && isDigit(s[i+3]) {
			out = append(out, digit(s[i+2])<<4|digit(s[i+3]))
			i += 3
			continue
		}
		out = append(out, s[i])
	}
	return out
}

func digit(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// cgroupOf returns the path of a process's control group out of what
// /proc/PID/cgroup says, nil if there is none: that of the unified hierarchy, or of
// systemd's where there are others; where that is the root, the first that is not.
func cgroupOf(text []byte) (path []byte) {
	best := 0
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		_, rest, _ := bytes.Cut(line, []byte(":"))
		controllers, p, ok := bytes.Cut(rest, []byte(":"))
		if !ok || len(p) == 0 || p[0] != '/' {
			continue
		}
		p = bytes.TrimSuffix(p, []byte(" (deleted)")) // proc_cgroup_show, kernel/cgroup/cgroup.c
		rank := 1
		switch {
		case len(p) == 1:
		case string(controllers) == "name=systemd":
			rank = 4
		case len(controllers) == 0:
			rank = 3
		default:
			rank = 2
		}
		if rank > best {
			best, path = rank, p
		}
	}
	return path
}
