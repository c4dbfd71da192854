package procinfo

import (
	"bytes"
	"math"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Info is what /proc says of a process. Ids that are not known are unset.
type Info struct {
	Cgroup   []byte // nil if it is not known
	ofParent bool   // Cgroup is that of its parent

	uid, euid, auid, ses uint32
	ppid                 uint64 // 0: not known
}

// unset stands for an id that is not set or not known.
const unset = math.MaxUint32

func (i *Info) reset() {
	*i = Info{Cgroup: i.Cgroup[:0], uid: unset, euid: unset, auid: unset, ses: unset}
}

// append appends what is known in the grammar of audit records, with the stamp of
// the record and the process that it names:
//
//	audit(1795440701.244:47): pid=570 cgroup=U uid=33 euid=33 auid=1000 ses=2 ppid=1
//	audit(1795440701.244:47): pid=570 parent_cgroup=U
//	audit(1795440701.244:47): pid=570
//
// U is an untrusted string.
func (i *Info) append(dst []byte, k ipe.Key, pid uint64) []byte {
	dst = auditrec.AppendStamp(dst, uint64(k.Time), k.Serial)
	dst = strconv.AppendUint(append(dst, "pid="...), pid, 10)
	if len(i.Cgroup) > 0 {
		if i.ofParent {
			dst = append(dst, " parent_cgroup="...)
		} else {
			dst = append(dst, " cgroup="...)
		}
		dst = auditrec.AppendUntrusted(dst, i.Cgroup)
	}
	for _, id := range [...]struct {
		key string
		n   uint32
	}{{" uid=", i.uid}, {" euid=", i.euid}, {" auid=", i.auid}, {" ses=", i.ses}} {
		if id.n != unset {
			dst = strconv.AppendUint(append(dst, id.key...), uint64(id.n), 10)
		}
	}
	if i.ppid != 0 {
		dst = strconv.AppendUint(append(dst, " ppid="...), i.ppid, 10)
	}
	return dst
}

// Joiner adds what was found in /proc to events. The zero value is ready to use; it
// is for one goroutine.
type Joiner struct {
	scratch []byte
	cgroup  []byte // what place is that of
	place   Place
}

// Join adds to an access what a text of an [Asker] says of its process. What is
// known already stays, for companions are of the moment of the access. The event
// views text and the Joiner until the next call.
func (j *Joiner) Join(ev *ipe.Event, text []byte) {
	_, body, _ := auditrec.CutStamp(text)
	for {
		key, rest, ok := auditrec.CutKey(body)
		if !ok {
			return
		}
		v, rest, ok := auditrec.CutValue(rest)
		if !ok {
			return
		}
		body = rest
		n, isNumber := auditrec.Uint(v)
		switch string(key) {
		case "pid":
			if !isNumber || ev.Has&ipe.HasPID == 0 || n != ev.PID {
				return
			}
		case "cgroup":
			j.setPlace(ev, v)
			ev.Context |= ipe.ContextProc
		case "parent_cgroup":
			j.setPlace(ev, v)
			ev.Context |= ipe.ContextParent
		case "uid":
			setID(ev, &ev.UID, ipe.HasUID, n, isNumber)
		case "euid":
			setID(ev, &ev.EUID, ipe.HasEUID, n, isNumber)
		case "auid":
			setID(ev, &ev.AUID, ipe.HasAUID, n, isNumber)
		case "ses":
			setID(ev, &ev.SES, ipe.HasSES, n, isNumber)
		case "ppid":
			if isNumber && ev.Has&ipe.HasPPID == 0 {
				ev.PPID, ev.Has = n, ev.Has|ipe.HasPPID
				ev.Context |= ipe.ContextProc
			}
		}
	}
}

func setID(ev *ipe.Event, id *uint32, has ipe.Has, n uint64, ok bool) {
	if ok && n < unset && ev.Has&has == 0 {
		*id, ev.Has = uint32(n), ev.Has|has
		ev.Context |= ipe.ContextProc
	}
}

// setPlace stores a control group and what it says.
func (j *Joiner) setPlace(ev *ipe.Event, v auditrec.Value) {
	path := v.Text()
	if !v.Quoted() {
		s, ok := auditrec.AppendHex(j.scratch[:0], v)
		if !ok {
			return
		}
		j.scratch, path = s, s
	}
	if j.cgroup == nil || !bytes.Equal(path, j.cgroup) {
		j.cgroup = append(make([]byte, 0, max(len(path), 1)), path...) // events may view the one before
		j.place = PlaceOf(j.cgroup)
	}
	ev.Cgroup = j.cgroup
	ev.Unit, ev.UserUnit, ev.Container, ev.Pod = j.place.Unit, j.place.UserUnit, j.place.Container, j.place.Pod
}
