package input

import (
	"bytes"
	"encoding/json"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// cutJSON returns the object in a line of journalctl -o json, json-sse or
// json-seq.
func cutJSON(line []byte) ([]byte, bool) {
	line = bytes.TrimPrefix(line, []byte("data: "))
	line = bytes.TrimPrefix(line, []byte("\x1e"))
	return line, len(line) > 0 && line[0] == '{'
}

// isEvent reports whether a JSON object, if it is one, is rather an event of
// ours than anything else: it has the spool, or one of our kinds of events. Of
// half a line its beginning must do.
func isEvent(object []byte, whole bool) bool {
	rest := bytes.TrimLeft(object[1:], " \t\n\r")
	if len(rest) < 2 || rest[0] != '"' || rest[1] < 'a' || rest[1] > 'z' {
		return false // fields of the journal are never in lower case (systemd.journal-fields(7))
	}
	if bytes.HasPrefix(rest, []byte(`"spool"`)) {
		return true
	}
	if !whole {
		for _, first := range [...]string{`"spool"`, `"time"`, `"serial"`, `"type"`, `"event"`} {
			if n := min(len(first), len(rest)); string(rest[:n]) == first[:n] {
				return true
			}
		}
		return false
	}
	const key = `"event"`
	for {
		i := bytes.Index(rest, []byte(key))
		if i < 0 {
			return false
		}
		if rest = rest[i+len(key):]; isKind(rest) {
			return true
		}
	}
}

// isKind reports whether p is a colon and one of our kinds of events.
func isKind(p []byte) bool {
	p, ok := bytes.CutPrefix(bytes.TrimLeft(p, " \t\n\r"), []byte(":"))
	if !ok {
		return false
	}
	if p, ok = bytes.CutPrefix(bytes.TrimLeft(p, " \t\n\r"), []byte(`"`)); !ok {
		return false
	}
	word, _, ok := bytes.Cut(p, []byte(`"`))
	if !ok || len(word) == 0 {
		return false
	}
	for k := ipe.Kind(0); k.String() != ""; k++ {
		if k.String() == string(word) {
			return true
		}
	}
	return false
}

// jsonLine fills rec from a line that begins with an object.
func (r *Reader) jsonLine(line []byte, rec *Record) (bool, error) {
	if beginsBlock(line) || bytes.Contains(line, []byte("}{")) || bytes.Contains(line, []byte("}"+byteOrderMark)) {
		r.text = line
		return r.beginBlock(rec), nil
	}
	return r.object(line, r.whole || line[len(line)-1] == '}', rec)
}

// object fills rec if object is an event of ours, a journal entry with an audit
// record, or a line of the kernel log as dmesg --json prints it.
func (r *Reader) object(object []byte, whole bool, rec *Record) (bool, error) {
	if isEvent(object, whole) {
		rec.Event, rec.Text = true, object
		return true, nil
	}
	if whole && !mayBeAudit(object) {
		r.pass(object)
		return false, nil
	}
	var members map[string]json.RawMessage // not a struct, whose names would match in any case
	if json.Unmarshal(object, &members) != nil {
		r.pass(object)
		if !whole {
			return false, r.entryCut()
		}
		return false, nil
	}
	r.entry.reset()
	for name, value := range members {
		if f := r.entry.field([]byte(name)); f != nil {
			f.setJSON(value)
		}
	}
	if r.entry.fields[fieldMessage].set || r.entry.fields[fieldTransport].set {
		if r.entryRecord(rec) {
			return true, nil
		}
		r.passEntry(object)
		return false, nil
	}
	if r.logObject(members, rec) {
		return true, nil
	}
	r.pass(object)
	return false, nil
}

// logObject fills rec from an object of dmesg --json (util-linux,
// sys-utils/dmesg.c, print_record), or from a line of a container's output as
// Docker keeps it, if that is an event of ours.
func (r *Reader) logObject(members map[string]json.RawMessage, rec *Record) bool {
	var text string
	if message, ok := members["msg"]; ok && (members["time"] != nil || members["pri"] != nil || members["fac"] != nil) {
		if json.Unmarshal(message, &text) != nil || !fromKernel(members) {
			return false
		}
		r.built = append(r.built[:0], text...)
		r.host, r.other = nil, false
		rest, ok := bytes.CutPrefix(r.built, []byte("audit: "))
		if !ok || !r.record(rest, rec) {
			return false
		}
		rec.Truncated = isCut(rest, rec)
		return true
	}
	if line, ok := members["log"]; ok && members["stream"] != nil && json.Unmarshal(line, &text) == nil {
		r.built = append(r.built[:0], text...)
		object, ok := cutJSON(bytes.TrimRight(r.built, "\r\n"))
		if ok && isEvent(object, true) {
			rec.Event, rec.Text = true, object
			return true
		}
	}
	return false
}

// fromKernel reports whether the facility is the kernel's: as a word, or as the
// number of facility and level.
func fromKernel(members map[string]json.RawMessage) bool {
	if facility := members["fac"]; facility != nil {
		return string(facility) == `"kern"` || string(facility) == "0"
	}
	p := members["pri"]
	return p == nil || len(p) == 1 && p[0] >= '0' && p[0] <= '7' || p[0] == '"'
}

// mayBeAudit spares most entries of a journal the decoding.
func mayBeAudit(object []byte) bool {
	for _, word := range [...]string{"audit", "AUDIT", "kernel", `\"event\"`} {
		if bytes.Contains(object, []byte(word)) {
			return true
		}
	}
	return false
}

// setJSON sets the field to a value of journalctl -o json: a string, a number,
// null if it is longer than 4096 bytes (and --all was not given), a list of
// numbers if it is not printable UTF-8, a list of any of these if there are
// several. Of those the first counts; the trusted fields have only one.
func (f *field) setJSON(value json.RawMessage) {
	switch value[0] {
	case 'n':
		f.set, f.omitted = true, true
	case '"':
		var s string
		if json.Unmarshal(value, &s) == nil {
			f.value, f.set = append(f.value, s...), true
		}
	case '[':
		list := value
		switch first := bytes.TrimLeft(value[1:], " \t")[0]; first {
		case '[', '"', 'n':
			var several []json.RawMessage
			if json.Unmarshal(value, &several) != nil {
				return
			}
			if list = several[0]; first != '[' {
				f.setJSON(list)
				return
			}
		}
		if f.set = json.Unmarshal(list, &f.value) == nil; !f.set {
			f.value = f.value[:0]
		}
	default:
		if digits(value) == len(value) {
			f.value, f.set = append(f.value, value...), true
		}
	}
}

// taggedEvent fills rec if line is an event of ours behind the tag of the daemon,
// as syslog has its output, or behind that of a container's output (CRI).
func taggedEvent(line []byte, rec *Record) bool {
	i := bytes.Index(line, []byte(`{"`))
	if i <= 0 || !isEvent(line[i:], true) {
		return false
	}
	before, object := line[:i], line[i:]
	_, timed := cutTime(before)
	switch {
	case bytes.HasSuffix(before, []byte(" stdout F ")) || bytes.HasSuffix(before, []byte(" stderr F ")):
		if !timed {
			return false
		}
	default:
		tag, ok := bytes.CutSuffix(before, []byte(": "))
		if j := bytes.LastIndexByte(tag, ' '); ok && j >= 0 {
			tag = tag[j+1:]
		}
		name, pid, _ := bytes.Cut(tag, []byte("["))
		if !ok || string(name) != "ipe-auditd" || len(pid) > 0 && string(pid[digits(pid):]) != "]" {
			return false
		}
	}
	if len(object) < 2 || object[len(object)-1] != '}' {
		return false
	}
	rec.Event, rec.Text = true, object
	return true
}
