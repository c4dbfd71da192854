package input

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"slices"
	"strconv"
)

// The fields of a journal entry that matter (systemd.journal-fields(7); what
// journald writes for audit is in src/journal/journald-audit.c).
const (
	fieldMessage   = iota // MESSAGE
	fieldTransport        // _TRANSPORT
	fieldType             // _AUDIT_TYPE
	fieldSerial           // _AUDIT_ID
	fieldTime             // _SOURCE_REALTIME_TIMESTAMP, in µs
	fieldFacility         // SYSLOG_FACILITY
	fieldCount
)

// field is the value of one field. The memory is used again for the next entry.
type field struct {
	value   []byte
	set     bool
	omitted bool // the entry has it, but it was too large to be printed
}

// entry is a journal entry as far as it matters.
type entry struct {
	fields [fieldCount]field
	open   bool // export: fields are being read
	named  bool // export: it began as journalctl begins them, with __CURSOR and the like
}

func (e *entry) reset() {
	for i := range e.fields {
		e.fields[i] = field{value: e.fields[i].value[:0]}
	}
	e.open, e.named = false, false
}

// field returns the field of that name, or nil if it does not matter or is set
// already: of several values the first counts.
func (e *entry) field(name []byte) *field {
	i := -1
	switch string(name) {
	case "MESSAGE":
		i = fieldMessage
	case "_TRANSPORT":
		i = fieldTransport
	case "_AUDIT_TYPE":
		i = fieldType
	case "_AUDIT_ID":
		i = fieldSerial
	case "_SOURCE_REALTIME_TIMESTAMP":
		i = fieldTime
	case "SYSLOG_FACILITY":
		i = fieldFacility
	}
	if i < 0 || e.fields[i].set {
		return nil
	}
	return &e.fields[i]
}

// complete reports whether the entry lacks nothing that an audit record is made
// of, or is none.
func (e *entry) complete() bool {
	f := &e.fields
	switch {
	case e.is("audit"):
		return f[fieldMessage].set && f[fieldType].set && f[fieldSerial].set && f[fieldTime].set
	case e.is("kernel"):
		return f[fieldMessage].set && f[fieldFacility].set
	}
	return f[fieldTransport].set
}

// is reports whether the entry came by this way.
func (e *entry) is(transport string) bool {
	return string(e.fields[fieldTransport].value) == transport
}

// entryRecord fills rec if the entry in r.entry is an audit record: of the
// audit transport, or of the kernel log as the kernel itself wrote it. Clients
// of journald cannot make the fields that begin with an underscore.
func (r *Reader) entryRecord(rec *Record) bool {
	f := &r.entry.fields
	if !f[fieldMessage].set {
		return false
	}
	switch {
	case r.entry.is("kernel"):
		if f[fieldFacility].set && string(f[fieldFacility].value) != "0" {
			return false // a process wrote it to /dev/kmsg
		}
		rest, ok := bytes.CutPrefix(f[fieldMessage].value, []byte("audit: "))
		return ok && recordLine(rest, rec)
	case r.entry.is("audit"), !f[fieldTransport].set && f[fieldType].set:
		return r.auditEntry(rec)
	}
	return false
}

// auditEntry fills rec from an entry of the audit transport, whose message is
// the name of the type, a blank and the body.
func (r *Reader) auditEntry(rec *Record) bool {
	f := &r.entry.fields
	name, body, _ := bytes.Cut(f[fieldMessage].value, []byte(" "))
	typ, ok := typeByName(name)
	if f[fieldType].set {
		typ, ok = parseType(f[fieldType].value)
	}
	if !ok {
		return false
	}
	r.built = appendStamp(r.built[:0], f[fieldTime].value, f[fieldSerial].value)
	r.built = append(r.built, body...)
	rec.Type, rec.Text, rec.Truncated = typ, r.built, f[fieldMessage].omitted
	return true
}

// appendStamp appends the stamp of a record as the kernel writes it
// (kernel/audit.c, audit_log_start), or nothing if one of its parts is no
// number.
func appendStamp(dst, micros, serial []byte) []byte {
	us, err := strconv.ParseUint(string(micros), 10, 64)
	if err != nil || len(serial) == 0 || len(serial) > 20 || digits(serial) < len(serial) {
		return dst
	}
	ms := us / 1000
	dst = append(dst, "audit("...)
	dst = strconv.AppendUint(dst, ms/1000, 10)
	dst = append(dst, '.', '0'+byte(ms/100%10), '0'+byte(ms/10%10), '0'+byte(ms%10), ':')
	dst = append(dst, serial...)
	return append(dst, "): "...)
}

// maxField is the largest field that a journal can hold (DATA_SIZE_MAX in
// systemd's src/libsystemd/sd-journal/journal-file.h).
const maxField = 768 << 20

// isExport reports whether line is a field of the journal export format
// (systemd.io/JOURNAL_EXPORT_FORMATS): NAME=value.
func isExport(line []byte) bool {
	n := fieldName(line)
	return n > 0 && n < len(line) && line[n] == '='
}

// fieldName returns how many bytes of the name of a field line begins with.
func fieldName(line []byte) int {
	for i, c := range line {
		if c >= 'A' && c <= 'Z' || c == '_' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		return i
	}
	return len(line)
}

// exportLine takes the line in r.text into the entry of the export format. The
// entry ends with an empty line. It also ends where another one begins, or at a
// line that is no field: this is another form then, or there was damage.
func (r *Reader) exportLine(rec *Record) (done bool, err error) {
	line, e := r.text, &r.entry
	if len(line) == 0 {
		return r.closeEntry(rec), nil
	}
	if e.named && !r.whole {
		return false, r.entryCut()
	}
	if isExport(line) {
		if !e.open {
			e.reset()
			e.open, e.named = true, bytes.HasPrefix(line, []byte("__"))
		} else if bytes.HasPrefix(line, []byte("__CURSOR=")) {
			r.unread = true
			return r.closeEntry(rec), nil
		}
		name, value, _ := bytes.Cut(line, []byte("="))
		if f := e.field(name); f != nil {
			f.value, f.set = append(f.value, value...), true
		}
		return false, nil
	}
	if fieldName(line) < len(line) {
		r.unread = true
		return r.closeEntry(rec), nil
	}
	took, err := r.binaryField(line)
	if took || err != nil {
		return false, err
	}
	r.passed++ // and not unread: r.text may be overwritten by now
	return r.closeEntry(rec), nil
}

// closeEntry ends the open entry. It reports whether that made a record.
func (r *Reader) closeEntry(rec *Record) bool {
	r.entry.open, r.entry.named = false, false
	ok := r.entryRecord(rec)
	if !ok {
		r.passed++
	}
	return ok
}

// endExport ends the entry that is open at the end of the input. The empty line
// behind it may be missing, but nothing else.
func (r *Reader) endExport(rec *Record) error {
	if r.entry.named && !r.entry.complete() {
		return r.entryCut()
	}
	if !r.closeEntry(rec) {
		return io.EOF
	}
	return nil
}

func (r *Reader) entryCut() error {
	return r.damage("the journal entry is cut off")
}

// binaryField reads a field whose value is not text: its name in a line, the
// length of the value in a u64, the value, a newline. It reports false if this
// is no such field.
func (r *Reader) binaryField(name []byte) (bool, error) {
	f := r.entry.field(name) // now, because name views the buffer
	p, err := r.br.Peek(8)
	if err != nil && err != io.EOF {
		return false, r.readError(err)
	}
	if err != nil || binary.LittleEndian.Uint64(p) > maxField {
		if r.entry.named {
			return false, r.entryCut()
		}
		return false, nil
	}
	size := int(binary.LittleEndian.Uint64(p))
	r.br.Discard(8)
	switch {
	case f != nil && size <= maxLine:
		f.value, f.set = slices.Grow(f.value, size)[:size], true
		_, err = io.ReadFull(r.br, f.value)
	case f != nil:
		f.set, f.omitted = true, true
		fallthrough
	default:
		_, err = r.br.Discard(size)
	}
	var end byte
	if err == nil {
		end, err = r.br.ReadByte()
	}
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return false, r.entryCut()
	case err != nil:
		return false, r.readError(err)
	case end != '\n':
		return false, r.damage("a field of the journal entry has the wrong length")
	}
	r.off += int64(8 + size + 1)
	return true, nil
}

// cutJSON returns the object in a line of journalctl -o json, json-sse or
// json-seq.
func cutJSON(line []byte) ([]byte, bool) {
	line = bytes.TrimPrefix(line, []byte("data: "))
	line = bytes.TrimPrefix(line, []byte("\x1e"))
	return line, len(line) > 0 && line[0] == '{'
}

// isEvent reports whether a JSON object, if it is one, is rather an event of
// ours than an entry of the journal, whose fields are never in lower case
// (systemd.journal-fields(7)). Of half a line its beginning must do.
func isEvent(object []byte, whole bool) bool {
	return len(object) > 2 && object[1] == '"' && 'a' <= object[2] && object[2] <= 'z' &&
		(!whole || bytes.HasPrefix(object, []byte(`{"spool":`)) || bytes.Contains(object, []byte(`"event"`)))
}

// jsonEntry fills rec if object is a journal entry and an audit record.
func (r *Reader) jsonEntry(object []byte, rec *Record) (bool, error) {
	if r.whole && !mayBeAudit(object) {
		return false, nil
	}
	var members map[string]json.RawMessage // not a struct, whose names would match in any case
	if json.Unmarshal(object, &members) != nil {
		if !r.whole {
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
	return r.entryRecord(rec), nil
}

// mayBeAudit spares most entries of a journal the decoding.
func mayBeAudit(object []byte) bool {
	for _, word := range [...]string{"audit", "AUDIT", "kernel"} {
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
