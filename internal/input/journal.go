package input

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
)

// The fields of a journal entry that matter (systemd.journal-fields(7); what
// journald writes for audit is in src/journal/journald-audit.c).
const (
	fieldMessage    = iota // MESSAGE
	fieldTransport         // _TRANSPORT
	fieldType              // _AUDIT_TYPE
	fieldSerial            // _AUDIT_ID
	fieldTime              // _SOURCE_REALTIME_TIMESTAMP, in µs
	fieldFacility          // SYSLOG_FACILITY
	fieldIdentifier        // SYSLOG_IDENTIFIER
	fieldUID               // _UID
	fieldHost              // _HOSTNAME
	fieldBoot              // _BOOT_ID, 32 hexadecimal digits
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
	holds  bool // a field that does not matter holds a record of IPE
	boot   []byte
}

func (e *entry) reset() {
	for i := range e.fields {
		e.fields[i] = field{value: e.fields[i].value[:0]}
	}
	e.open, e.named, e.holds = false, false, false
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
	case "SYSLOG_IDENTIFIER":
		i = fieldIdentifier
	case "_UID":
		i = fieldUID
	case "_HOSTNAME":
		i = fieldHost
	case "_BOOT_ID":
		i = fieldBoot
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

// entryRecord fills rec if the entry in r.entry is an audit record: of the audit
// transport, of the kernel log as the kernel itself wrote it, or what auditd hands
// to syslog, as root. Clients of journald cannot make the fields that begin with
// an underscore. It sets r.other if the entry is a record of another type.
func (r *Reader) entryRecord(rec *Record) bool {
	f := &r.entry.fields
	r.host, r.other = nil, false
	message, ok := f[fieldMessage].value, false
	switch {
	case !f[fieldMessage].set:
		return false
	case r.entry.is("kernel"):
		if f[fieldFacility].set && string(f[fieldFacility].value) != "0" {
			return false // a process wrote it to /dev/kmsg
		}
		if message, ok = bytes.CutPrefix(message, []byte("audit: ")); ok {
			if ok = r.record(message, rec); ok {
				rec.Truncated = isCut(message, rec)
			}
		}
	case r.entry.is("audit"), !f[fieldTransport].set && f[fieldType].set:
		ok = r.auditEntry(rec)
	case r.entry.is("syslog") && string(f[fieldUID].value) == "0" && isAuditd(f[fieldIdentifier].value):
		if ok = r.nodeLine(message, rec); ok {
			r.finish(rec)
		}
	}
	if !ok {
		return false
	}
	if rec.Host = r.host; rec.Host == nil && len(f[fieldHost].value) > 0 {
		rec.Host = f[fieldHost].value
	}
	rec.BootID = r.entry.bootID()
	return true
}

// bootID returns the id of the boot as the kernel writes it, with hyphens. What is
// no such id is returned as it is, and nil if there is none.
func (e *entry) bootID() []byte {
	id := e.fields[fieldBoot].value
	switch {
	case len(id) == 0:
		return nil
	case len(id) != 32:
		return id
	}
	e.boot = append(e.boot[:0], id[:8]...)
	for i := 8; i < 20; i += 4 {
		e.boot = append(append(e.boot, '-'), id[i:i+4]...)
	}
	e.boot = append(append(e.boot, '-'), id[20:]...)
	return e.boot
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
		r.other = !f[fieldType].set && isTypeName(name)
		return false
	}
	r.built = appendStamp(r.built[:0], f[fieldTime].value, f[fieldSerial].value)
	r.built = append(r.built, body...)
	rec.Type, rec.Text, rec.Truncated = typ, r.built, f[fieldMessage].omitted
	return true
}

// passEntry counts an entry that gave no record. text is all of it, as far as it
// is known.
func (r *Reader) passEntry(text []byte) {
	e := &r.entry
	message := e.fields[fieldMessage].value
	holds := !r.other && (e.holds || holdsIPE(message) || holdsIPE(text))
	r.passed++
	r.unread.pass(nil, r.other)
	r.unread.content = true
	r.other = false
	switch {
	case !holds:
	case e.fields[fieldTransport].set:
		r.unread.add(causeProcess)
	case len(text) > 0:
		r.unread.add(causeJSON)
	default:
		r.unread.add(causeForm)
	}
}

// appendStamp appends the stamp of a record as the kernel writes it
// (kernel/audit.c, audit_log_start), or nothing if one of its parts is no
// number.
func appendStamp(dst, micros, serial []byte) []byte {
	us, err := strconv.ParseUint(string(micros), 10, 64)
	if err != nil || digits(serial) < len(serial) {
		return dst
	}
	number, err := strconv.ParseUint(string(serial), 10, 64)
	if err != nil {
		return dst
	}
	return auditrec.AppendStamp(dst, us/1000, number)
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
			r.again = true
			return r.closeEntry(rec), nil
		}
		name, value, _ := bytes.Cut(line, []byte("="))
		if f := e.field(name); f != nil {
			f.value, f.set = append(f.value, value...), true
		} else if line[0] != '_' && holdsIPE(value) {
			e.holds = true
		}
		return false, nil
	}
	if fieldName(line) < len(line) {
		r.again = true
		return r.closeEntry(rec), nil
	}
	took, err := r.binaryField(line)
	if took || err != nil {
		return false, err
	}
	r.passed++ // and not again: r.text may be overwritten by now
	return r.closeEntry(rec), nil
}

// closeEntry ends the open entry. It reports whether that made a record.
func (r *Reader) closeEntry(rec *Record) bool {
	r.entry.open, r.entry.named = false, false
	ok := r.entryRecord(rec)
	if !ok {
		r.passEntry(nil)
	}
	return ok
}

// endExport ends the entry that is open at the end of the input. The empty line
// behind it may be missing, but nothing else.
func (r *Reader) endExport(rec *Record) error {
	if r.entry.named && !r.entry.complete() {
		if r.entry.holds || holdsIPE(r.entry.fields[fieldMessage].value) {
			r.unread.add(causeForm)
		}
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
	if len(r.rest) > 0 || r.nul {
		return false, nil // no LF ended the name
	}
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
