package format

import (
	"bytes"
	"math"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Scope is the name of the instrumentation scope of records in OpenTelemetry's form.
const Scope = "github.com/ipe-auditd/ipe-auditd"

// OTLP is what log records of OpenTelemetry say beside the event.
type OTLP struct {
	Version string // of ipe-auditd

	// HostID and Kernel are of the host that the events are of: an id of it, and
	// the release of its kernel. Empty where they are not known, or not all events
	// are of one host.
	HostID, Kernel string
}

// Func returns a Func that appends an event as an ExportLogsServiceRequest of one
// record (opentelemetry-proto, collector/logs/v1/logs_service.proto), in protobuf.
// It is not a line format. Requests one behind the other are one request.
//
// The resource is the host: service.name, service.version, host.name, host.id,
// os.type, os.version. The body is the text form without time, EventName
// "ipe." and the value of the key "event". Every key is an attribute, see
// [AttributeName]; log.record.uid is what [Identity.AppendUID] says. A string that
// is not valid UTF-8 has U+FFFD for each byte that is wrong, and the attribute
// NAME_hex behind it has all of the bytes.
func (o OTLP) Func() Func {
	return func(dst []byte, ev *ipe.Event, c *Context) []byte {
		a := &c.attributes
		if a.of != &o || !bytes.Equal(a.host, c.Host) {
			a.of, a.host = &o, append(a.host[:0], c.Host...)
			a.resource = o.appendResource(a.resource[:0], c.Host)
		}
		dst, resourceLogs := openField(dst, 1) // ExportLogsServiceRequest.resource_logs
		dst = append(dst, a.resource...)
		dst, scopeLogs := openField(dst, 2) // ResourceLogs.scope_logs
		dst, at := openField(dst, 1)        // ScopeLogs.scope
		dst = appendStringField(dst, 1, Scope)
		dst = appendStringField(dst, 2, o.Version)
		dst = closeField(dst, at)
		dst, at = openField(dst, 2) // ScopeLogs.log_records
		dst = appendLogRecord(dst, ev, c)
		dst = closeField(dst, at)
		dst = closeField(dst, scopeLogs)
		return closeField(dst, resourceLogs)
	}
}

// appendResource appends ResourceLogs.resource (resource/v1/resource.proto).
func (o *OTLP) appendResource(dst, host []byte) []byte {
	dst, resource := openField(dst, 1)
	attribute := func(dst []byte, name, value string) []byte {
		if value == "" {
			return dst
		}
		dst, at := openField(dst, 1)
		dst = appendStringField(dst, 1, name)
		dst, value2 := openField(dst, 2)
		dst = appendStringField(dst, 1, value)
		return closeField(closeField(dst, value2), at)
	}
	dst = attribute(dst, "service.name", "ipe-auditd")
	dst = attribute(dst, "service.version", o.Version)
	if len(host) > 0 {
		var at, inner int
		dst, at = openField(dst, 1)
		dst = appendStringField(dst, 1, "host.name")
		dst, inner = openField(dst, 2)
		dst, _ = appendTextField(dst, host)
		dst = closeField(closeField(dst, inner), at)
	}
	dst = attribute(dst, "host.id", o.HostID)
	dst = attribute(dst, "os.type", "linux")
	return closeField(attribute(dst, "os.version", o.Kernel), resource)
}

// otlpSeverity is SeverityNumber by what [Severity] returns, as appendix B of
// OpenTelemetry's log data model has it for syslog; and SeverityText.
var otlpSeverity = [...]struct {
	number uint64
	text   string
}{
	severityAlert:   {21, "alert"},
	severityCrit:    {19, "crit"},
	severityErr:     {17, "err"},
	severityWarning: {13, "warning"},
	severityNotice:  {10, "notice"},
	severityInfo:    {9, "info"},
}

// appendLogRecord appends the fields of a LogRecord (logs/v1/logs.proto).
func appendLogRecord(dst []byte, ev *ipe.Event, c *Context) []byte {
	if ev.Has&ipe.HasStamp != 0 && ev.Time > 0 && ev.Time <= math.MaxInt64/1_000_000 {
		dst = appendFixed64Field(dst, 1, uint64(ev.Time)*1e6) // time_unix_nano
	}
	severity := otlpSeverity[Severity(ev)]
	dst = appendVarintField(dst, 2, severity.number)
	dst = appendStringField(dst, 3, severity.text)
	dst, body := openField(dst, 5)
	dst, at := openField(dst, 1) // AnyValue.string_value
	dst = appendMessage(dst, ev, c, unguarded)
	dst = closeField(closeField(dst, at), body)

	a := &c.attributes
	a.dst = dst
	if uid := c.AppendUID(a.scratch[:0], ev); len(uid) > 0 {
		a.scratch = uid
		a.text(&uidName, uid)
	}
	a.fields = fields{ev, &c.Identity}
	a.raw = c.Raw
	for i := range keys {
		if k := &keys[i]; attributeNames[i].name != "" && k.In.Has(ev.Kind) {
			k.attribute(a, &a.fields, &attributeNames[i])
		}
	}
	dst = a.dst
	a.dst, a.fields = nil, fields{} // it keeps nothing

	if c.Received > 0 {
		dst = appendFixed64Field(dst, 11, uint64(c.Received)) // observed_time_unix_nano
	}
	dst, at = openField(dst, 12) // event_name
	dst = append(dst, "ipe."...)
	dst = append(dst, ev.Kind.String()...)
	return closeField(dst, at)
}
