package format

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// attributeOf has the names of attributes that do not follow from the key: those of
// OpenTelemetry's semantic conventions, and ours that have points in them. A key
// that is empty here is no attribute: it is elsewhere in the record or its resource.
// comm is not process.executable.name: a thread chooses it.
var attributeOf = map[string]string{
	"time":                  "", // Timestamp
	"event":                 "", // EventName
	"host":                  "", // of the resource
	"type":                  "ipe.record.type",
	"ipe_op":                "ipe.op",
	"ipe_hook":              "ipe.hook",
	"path":                  "file.path",
	"ino":                   "file.inode",
	"rule":                  "security_rule.name",
	"pid":                   "process.pid",
	"rule_kind":             "ipe.rule.kind",
	"rule_properties":       "ipe.rule.properties",
	"active_policy_name":    "security_rule.ruleset.name",
	"active_policy_version": "security_rule.version",
	"active_policy_digest":  "ipe.policy.digest",
	"policy_name":           "ipe.policy.name",
	"policy_version":        "ipe.policy.version",
	"policy_digest":         "ipe.policy.digest",
	"old_policy_name":       "ipe.old_policy.name",
	"old_policy_version":    "ipe.old_policy.version",
	"old_policy_digest":     "ipe.old_policy.digest",
	"uid":                   "user.id",
	"ses":                   "ipe.session",
	"error":                 "error.type",
	"raw":                   "log.record.original",
	"version":               "service.version",
	"kernel":                "os.version",
	"euid":                  "process.effective_user.id",
	"ppid":                  "process.parent_pid",
	"exe":                   "process.executable.path",
	"proctitle":             "process.command_line",
	"cgroup":                "process.linux.cgroup",
	"container":             "container.id",
	"pod":                   "k8s.pod.uid",
	"ipe_status":            "ipe.status",
}

// asString are numbers that are strings there: the semantic conventions say so.
var asString = map[string]bool{"ino": true, "uid": true}

// attributeName is the name of an attribute as it is written.
type attributeName struct {
	key      string
	name     string // empty: no attribute
	hex      string // with _hex behind it
	asString bool
}

func newAttributeName(key, name string) attributeName {
	return attributeName{key: key, name: name, hex: name + "_hex", asString: asString[key]}
}

var uidName = newAttributeName("", "log.record.uid")

// attributeNames has those of the keys, in their order.
var attributeNames = func() (names [len(keys)]attributeName) {
	for i, k := range keys {
		if name := AttributeName(k.Name); name != "" {
			names[i] = newAttributeName(k.Name, name)
		}
	}
	return names
}()

// AttributeName returns the name of the attribute that a key is in OpenTelemetry, and
// the empty string where it is none: time, event and host have places of their own.
// Each key of "extra" is an attribute, with ipe.extra. before it.
func AttributeName(key string) string {
	if name, ok := attributeOf[key]; ok {
		return name
	}
	return "ipe." + strings.TrimPrefix(key, "ipe_")
}

// attributes writes the attributes of a record (LogRecord.attributes, which are
// KeyValue of common/v1/common.proto).
type attributes struct {
	dst     []byte
	fields  fields
	raw     bool // whether the text of every record is written
	scratch []byte

	// The resource that was written last, which is the same for nearly all events:
	// that of one host, by one Func.
	of       *OTLP
	host     []byte
	resource []byte
}

// begin begins an attribute, and its value.
func (a *attributes) begin(name string) (at, value int) {
	a.dst, at = openField(a.dst, 6)
	a.dst = appendStringField(a.dst, 1, name)
	a.dst, value = openField(a.dst, 2)
	return at, value
}

func (a *attributes) end(at, value int) { a.dst = closeField(closeField(a.dst, value), at) }

func (a *attributes) text(name *attributeName, b []byte) {
	if name.key == "lsm" && string(b) == "ipe" || name.key == "raw" && !a.raw && a.fields.Kind != ipe.KindUnparsed {
		return
	}
	at, value := a.begin(name.name)
	var valid bool
	a.dst, valid = appendTextField(a.dst, b)
	a.end(at, value)
	if !valid {
		at, value := a.begin(name.hex)
		a.hexValue(b)
		a.end(at, value)
	}
}

// hexValue appends AnyValue.string_value.
func (a *attributes) hexValue(b []byte) {
	a.dst = binary.AppendUvarint(appendTag(a.dst, 1, wireBytes), uint64(2*len(b)))
	a.dst = appendHex(a.dst, b)
}

func (a *attributes) word(name *attributeName, s string) {
	if s != "" {
		at, value := a.begin(name.name)
		a.dst = appendStringField(a.dst, 1, s)
		a.end(at, value)
	}
}

func (a *attributes) number(name *attributeName, n uint64) {
	switch {
	case name.key == "serial" && !a.fields.HasRecord():
	case name.asString:
		a.scratch = strconv.AppendUint(a.scratch[:0], n, 10)
		a.text(name, a.scratch)
	default:
		a.signed(name, int64(min(n, math.MaxInt64)))
	}
}

func (a *attributes) signed(name *attributeName, n int64) {
	at, value := a.begin(name.name)
	a.dst = appendVarintField(a.dst, 3, uint64(n))
	a.end(at, value)
}

func (a *attributes) boolean(name *attributeName, b bool) {
	n := uint64(0)
	if b {
		n = 1
	}
	at, value := a.begin(name.name)
	a.dst = appendVarintField(a.dst, 2, n)
	a.end(at, value)
}

// instant is a string: there is no type for it.
func (a *attributes) instant(name *attributeName, ms int64) {
	var c clock
	a.scratch = c.append(a.scratch[:0], ms)
	a.text(name, a.scratch)
}

func (a *attributes) hex64(name *attributeName, n uint64) {
	a.scratch = appendHex64(a.scratch[:0], n)
	a.text(name, a.scratch)
}

// list appends AnyValue.array_value.
func (a *attributes) list(name *attributeName, list [][]byte) {
	valid := true
	at, value := a.begin(name.name)
	var array, item int
	a.dst, array = openField(a.dst, 5)
	for _, b := range list {
		var ok bool
		a.dst, item = openField(a.dst, 1)
		a.dst, ok = appendTextField(a.dst, b)
		a.dst = closeField(a.dst, item)
		valid = valid && ok
	}
	a.dst = closeField(a.dst, array)
	a.end(at, value)
	if valid {
		return
	}
	at, value = a.begin(name.hex)
	a.dst, array = openField(a.dst, 5)
	for _, b := range list {
		a.dst, item = openField(a.dst, 1)
		a.hexValue(b)
		a.dst = closeField(a.dst, item)
	}
	a.dst = closeField(a.dst, array)
	a.end(at, value)
}

// contexts appends AnyValue.array_value.
func (a *attributes) contexts(name *attributeName, c ipe.Contexts) {
	if c == 0 {
		return
	}
	at, value := a.begin(name.name)
	var array, item int
	a.dst, array = openField(a.dst, 5)
	for word := range c.All {
		a.dst, item = openField(a.dst, 1)
		a.dst = appendStringField(a.dst, 1, word)
		a.dst = closeField(a.dst, item)
	}
	a.dst = closeField(a.dst, array)
	a.end(at, value)
}

// extra appends an attribute for each of them, named as JSON names the members of
// "extra".
func (a *attributes) extra(name *attributeName, extra []ipe.KeyValue) {
	for i, kv := range extra {
		s := append(append(a.scratch[:0], name.name...), '.')
		if plainKey(kv.Key) {
			s = append(s, kv.Key...)
		} else {
			s = appendHex(append(s, '#'), kv.Key)
		}
		if i >= maxExtraCompared || hasKey(extra[:i], kv.Key) {
			s = strconv.AppendInt(append(s, '#'), int64(i+1), 10)
		}
		n := len(s)
		a.scratch = s
		valid := a.bytesText(s, kv.Value)
		if !valid {
			a.scratch = append(s, "_hex"...)
			at, value := a.beginBytes(a.scratch[:n+len("_hex")])
			a.hexValue(kv.Value)
			a.end(at, value)
		}
	}
}

// bytesText is text for a name that is no constant.
func (a *attributes) bytesText(name, b []byte) (valid bool) {
	at, value := a.beginBytes(name)
	a.dst, valid = appendTextField(a.dst, b)
	a.end(at, value)
	return valid
}

func (a *attributes) beginBytes(name []byte) (at, value int) {
	a.dst, at = openField(a.dst, 6)
	a.dst = binary.AppendUvarint(appendTag(a.dst, 1, wireBytes), uint64(len(name)))
	a.dst = append(a.dst, name...)
	a.dst, value = openField(a.dst, 2)
	return at, value
}

// appendHex64 appends an id of a spool.
func appendHex64(dst []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[n>>shift&15])
	}
	return dst
}
