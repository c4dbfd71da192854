package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// sinkTypes returns all types of sinks.
func sinkTypes() []string {
	return []string{TypeConsole, TypeFile, TypeJournald, TypeSyslog, TypeExec}
}

// sinks reads the list of sinks of one file. What remains of the list when all
// sinks are comments says nothing; an explicit empty list asks for none.
func (d *decoder) sinks(dst *[]Sink) schema.Value {
	return func(name string, n ast.Node) {
		if _, isNull := n.(*ast.NullNode); isNull {
			return
		}
		nodes, ok := d.List(name, n)
		if !ok {
			return
		}
		*dst = make([]Sink, 0, len(nodes))
		lines := make(map[string]int)
		for i, n := range nodes {
			s := d.sink(fmt.Sprintf("%s[%d]", name, i), n)
			switch line := lines[s.Name]; {
			case s.Name == "":
				continue // and said why
			case line != 0:
				d.Errorf(n, "%s[%d] is called %q like the sink in line %d; give each a name of its own", name, i, s.Name, line)
			}
			lines[s.Name] = s.at.Line
			*dst = append(*dst, s)
		}
	}
}

// sink reads one sink. Its Name is empty when that or the type is no good.
func (d *decoder) sink(name string, n ast.Node) Sink {
	s := Sink{From: FromEnd, at: d.At(n)}
	pairs, ok := d.Pairs(name, n)
	if !ok {
		return s
	}
	var typ ast.Node
	for _, p := range pairs {
		if k, ok := p.Key.(*ast.StringNode); ok && k.Value == "type" && typ == nil {
			typ = p.Value
		}
	}
	if typ == nil {
		d.Errorf(n, "%s has no type; add type: %s", name, strings.Join(sinkTypes(), ", "))
		return s
	}
	d.Text(&s.Type, schema.OneOf(sinkTypes()...))(name+".type", typ)
	if s.Type == "" {
		return s
	}

	ks := d.common(&s)
	maps.Copy(ks, d.own(&s))
	for _, t := range sinkTypes() {
		for key := range d.own(&Sink{Type: t}) {
			if ks[key] == nil {
				ks[key] = d.foreign(&s, key)
			}
		}
	}
	before := len(d.Problems)
	given := d.Mapping(name, n, ks)
	if s.named = given["name"] != nil; !s.named {
		s.Name = s.Type
	}
	if len(d.Problems) == before {
		d.combinations(name, n, &s, given)
	}
	return s
}

// common returns the keys of every type of sink.
func (d *decoder) common(s *Sink) schema.Keys {
	return schema.Keys{
		"name":  d.Text(&s.Name, sinkName),
		"type":  func(string, ast.Node) {}, // was read first
		"match": d.match(&s.Match),
		"from":  d.Text(&s.From, schema.OneOf(FromEnd, FromOldest)),
		"raw":   d.Bool(&s.Raw),

		"coalesce": schema.OrZero(&s.Coalesce, d.Duration(&s.Coalesce, 10*time.Millisecond, mostPause)),
	}
}

// own returns the keys of the type of s only, and sets what they have for
// defaults.
func (d *decoder) own(s *Sink) schema.Keys {
	switch s.Type {
	case TypeConsole:
		s.Format = FormatText
		return schema.Keys{"format": d.Text(&s.Format, schema.OneOf(FormatJSON, FormatText))}
	case TypeFile:
		s.Format = FormatJSON
		s.File = &File{Mode: 0o640}
		return schema.Keys{
			"format": d.Text(&s.Format, schema.OneOf(FormatJSON, FormatText, FormatRaw)),
			"path":   d.Text(&s.File.Path, schema.AbsoluteFile),
			"mode":   d.Mode(&s.File.Mode, 0o600, 0o664),
			"group":  d.Text(&s.File.Group, schema.PrintableText),
			"rotate": d.rotate(&s.File.Rotate),
			"sync":   d.Bool(&s.File.Sync),
		}
	case TypeSyslog:
		s.Syslog = &Syslog{Facility: "authpriv", SDID: "ipe@32473"}
		return schema.Keys{
			"address":  d.Text(&s.Syslog.Address, s.Syslog.parseAddress),
			"facility": d.Text(&s.Syslog.Facility, schema.OneOf(facilities()...)),
			"rfc":      d.rfc(&s.Syslog.RFC),
			"sd_id":    d.Text(&s.Syslog.SDID, sdID),
			"ca":       d.Text(&s.Syslog.CA, schema.AbsoluteFile),
			"cert":     d.Text(&s.Syslog.Cert, schema.AbsoluteFile),
			"key":      d.Text(&s.Syslog.Key, schema.AbsoluteFile),

			"max_message": d.Size(&s.Syslog.MaxMessage, leastMessage, mostMessage),
			"framing":     d.Text(&s.Syslog.Framing, schema.OneOf(FramingOctet, FramingLF)),
		}
	case TypeExec:
		s.Format = FormatJSON
		s.Exec = &Exec{Mode: ModeStream, Timeout: 30 * time.Second, MaxPerMinute: 30}
		return schema.Keys{
			"format":         d.Text(&s.Format, schema.OneOf(FormatJSON)),
			"command":        d.Texts(&s.Exec.Command, schema.NoNUL),
			"mode":           d.Text(&s.Exec.Mode, schema.OneOf(ModeStream, ModeEach)),
			"timeout":        d.Duration(&s.Exec.Timeout, time.Second, mostPause),
			"max_per_minute": d.Number(&s.Exec.MaxPerMinute, 1, 6000),
		}
	}
	return schema.Keys{} // journald
}

// foreign refuses a key that sinks of other types have.
func (d *decoder) foreign(s *Sink, key string) schema.Value {
	var owners []string
	for _, t := range sinkTypes() {
		if d.own(&Sink{Type: t})[key] != nil {
			owners = append(owners, t)
		}
	}
	return func(name string, n ast.Node) {
		d.Errorf(n, "%s does not belong to a sink of type %s, only to %s; remove it", name, s.Type, strings.Join(owners, ", "))
	}
}

func (d *decoder) rotate(dst **Rotate) schema.Value {
	return func(name string, n ast.Node) {
		r := &Rotate{Size: 64 * units.MiB, Age: 24 * time.Hour, Keep: 14, Compress: true}
		*dst = r
		d.Mapping(name, n, schema.Keys{
			"size":     schema.OrZero(&r.Size, d.Size(&r.Size, leastRotate, mostSize)),
			"age":      schema.OrZero(&r.Age, d.Duration(&r.Age, time.Minute, mostAge)),
			"keep":     d.Number(&r.Keep, 1, 10000),
			"compress": d.Bool(&r.Compress),
		})
		if r.Size == 0 && r.Age == 0 {
			d.Errorf(n, "%s would never happen, by neither size nor age; set one of them, or remove it", name)
		}
	}
}

func (d *decoder) rfc(dst *int) schema.Value {
	return func(name string, n ast.Node) {
		switch s, ok := d.Scalar(name, n); {
		case !ok:
		case s == "3164":
			*dst = 3164
		case s == "5424":
			*dst = 5424
		default:
			d.Errorf(n, "%s is 3164 or 5424, not %s", name, text.Quote(s))
		}
	}
}

// combinations checks what no key can check alone, and sets the defaults that
// depend on other keys.
func (d *decoder) combinations(name string, n ast.Node, s *Sink, given map[string]ast.Node) {
	required := func(key, example string) bool {
		if given[key] == nil {
			d.Errorf(n, "%s has no %s; add one, as in %s: %s", name, key, key, example)
		}
		return given[key] != nil
	}
	switch s.Type {
	case TypeFile:
		required("path", "/var/log/ipe-auditd/events.json")
	case TypeSyslog:
		if required("address", "tls://logs.example.com:6514") {
			d.syslogCombinations(name, s.Syslog, given)
		}
	case TypeExec:
		if required("command", "[/usr/local/libexec/page, --severity, high]") {
			d.execCombinations(name, s, given)
		}
	}
	if s.Coalesce > 0 && s.Format == FormatRaw {
		d.Errorf(given["coalesce"], "%s.coalesce counts records, and format raw has no place for a number; set format: json, or remove it", name)
	}
	switch raw := given["raw"]; {
	case !s.Raw:
	case s.Format == FormatText, s.Format == FormatRaw:
		d.Errorf(raw, "%s.raw adds nothing to format %s; set format: json, or remove it", name, s.Format)
	case s.Syslog != nil && s.Syslog.RFC == 3164:
		d.Errorf(raw, "%s.raw adds nothing to RFC 3164, which has no fields; set rfc: 5424, or remove it", name)
	}
}

func (d *decoder) syslogCombinations(name string, s *Syslog, given map[string]ast.Node) {
	switch {
	case given["rfc"] == nil && s.Network == NetworkUnix && isLocalLog(s.Target):
		s.RFC = 3164
	case given["rfc"] == nil:
		s.RFC = 5424
	}
	if n := given["sd_id"]; n != nil && s.RFC == 3164 {
		d.Errorf(n, "%s.sd_id is for structured data, which RFC 3164 does not have; set rfc: 5424, or remove it", name)
	}
	if s.Network == NetworkTCP || s.Network == NetworkTLS {
		d.streamCombinations(name, s, given)
	} else if n := given["framing"]; n != nil {
		d.Errorf(n, "%s.framing is for tcp and tls, where a message is no datagram; the address is %s://, so remove it", name, s.Network)
	}
	for _, key := range []string{"ca", "cert", "key"} {
		if n := given[key]; n != nil && s.Network != NetworkTLS {
			d.Errorf(n, "%s.%s is for TLS, but the address is %s://; use tls://, or remove it", name, key, s.Network)
		}
	}
	switch {
	case given["cert"] != nil && given["key"] == nil:
		d.Errorf(given["cert"], "%s.cert needs its key; add key: FILE", name)
	case given["key"] != nil && given["cert"] == nil:
		d.Errorf(given["key"], "%s.key needs its certificate; add cert: FILE", name)
	}
}

// streamCombinations sets the defaults of tcp and tls.
func (d *decoder) streamCombinations(name string, s *Syslog, given map[string]ast.Node) {
	if given["framing"] == nil {
		s.Framing = FramingOctet
	}
	switch n := given["max_message"]; {
	case n == nil:
		s.MaxMessage = UsualMessage
	case s.MaxMessage > UsualMessage:
		d.Warnf(n, "%s.max_message is more than receivers take unless they are told to, and what one cuts off may become a log line of its own: make sure that this one takes %d octets (rsyslog: maxMessageSize, syslog-ng: log-msg-size), or set %d or less", name, int64(s.MaxMessage), int64(UsualMessage))
	}
}

// isLocalLog reports whether a socket is that of the local syslog, behind which
// journald reads RFC 3164 only (systemd-journald.service(8)).
func isLocalLog(p string) bool {
	return p == "/dev/log" || p == "/run/systemd/journal/dev-log"
}

func (d *decoder) execCombinations(name string, s *Sink, given map[string]ast.Node) {
	e := s.Exec
	if err := schema.AbsoluteFile(e.Command[0]); err != nil {
		d.Errorf(given["command"], "%s.command[0]: %v; there is no shell and no $PATH", name, err)
	}
	switch {
	case e.Mode == ModeStream && given["max_per_minute"] != nil:
		d.Errorf(given["max_per_minute"], "%s.max_per_minute is for mode each; set mode: each, or remove it", name)
	case e.Mode == ModeStream:
		e.MaxPerMinute = 0
	case given["match"] == nil:
		s.Match = denialsAndNews()
	}
}

// denialsAndNews is what a process for each event hears unless told otherwise.
// In permissive mode the start of that process may itself be an event; with
// would_deny it would feed itself.
func denialsAndNews() []Selection {
	return []Selection{
		{Verdicts: []string{"denied"}},
		{Not: &Selection{Events: []string{"access"}}},
	}
}

// sinkName checks a name: it becomes that of a cursor file and a label of
// metrics.
func sinkName(s string) error {
	const first, rest = "abcdefghijklmnopqrstuvwxyz0123456789", "_-"
	switch {
	case s == "", len(s) > 64, !strings.Contains(first, s[:1]), strings.Trim(s, first+rest) != "":
		return fmt.Errorf("%s is not a name; use up to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", text.Quote(s))
	}
	return nil
}

// facilities returns the names of RFC 5424, section 6.2.1, except for the
// kernel's, which is not ours to use.
func facilities() []string {
	return []string{
		"user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
}

// sdID checks an SD-ID of our own: name@number (RFC 5424, section 6.3.2).
func sdID(s string) error {
	name, number, _ := strings.Cut(s, "@")
	bad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`="]`, r) }
	if name == "" || len(s) > 32 || strings.ContainsFunc(name, bad) || strings.Trim(number, "0123456789.") != "" || number == "" {
		return fmt.Errorf("%s is not an SD-ID; write a name, @ and your private enterprise number, as in ipe@32473", text.Quote(s))
	}
	return nil
}

// parseAddress sets Network and Target.
func (s *Syslog) parseAddress(address string) error {
	schemes := []string{NetworkUnix, NetworkUDP, NetworkTCP, NetworkTLS}
	network, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		return fmt.Errorf("%s has no scheme; write unix:///dev/log, or udp://, tcp:// or tls:// and host:port", text.Quote(address))
	case !slices.Contains(schemes, network):
		return fmt.Errorf("unknown scheme %s%s", text.Quote(network), text.DidYouMean(network, schemes))
	case network == NetworkUnix:
		if err := schema.AbsoluteFile(rest); err != nil {
			return fmt.Errorf("%w, as in unix:///dev/log", err)
		}
		s.Network, s.Target = network, path.Clean(rest)
		return schema.SocketPath(rest)
	}
	host, port, err := splitHostPort(rest, network)
	if err != nil {
		return err
	}
	s.Network, s.Target = network, net.JoinHostPort(host, port)
	return nil
}

// splitHostPort takes HOST or HOST:PORT apart. The default port is that of RFC
// 5426, or of RFC 5425 for TLS, which plain TCP borrows from UDP.
func splitHostPort(s, network string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if e := (*net.AddrError)(nil); errors.As(err, &e) && e.Err == "missing port in address" {
		port = "514"
		if network == NetworkTLS {
			port = "6514"
		}
		host, err = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), nil
	}
	switch n, portErr := strconv.ParseUint(port, 10, 16); {
	case err != nil:
		return "", "", fmt.Errorf("%s is not host:port; put an IPv6 address in brackets, as in [2001:db8::1]:514", text.Quote(s))
	case host == "" || strings.ContainsAny(host, "/@?#[] ") || strings.ContainsFunc(host, schema.NotText):
		return "", "", fmt.Errorf("%s has no plain host name or address; write host:port and nothing else", text.Quote(s))
	case portErr != nil || n == 0:
		return "", "", fmt.Errorf("%s is not a port; use 1 to 65535", text.Quote(port))
	}
	return host, port, nil
}
