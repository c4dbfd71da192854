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
)

// sinkTypes returns all types of sinks.
func sinkTypes() []string {
	return []string{TypeConsole, TypeFile, TypeJournald, TypeSyslog, TypeExec}
}

// sinks reads the list of sinks of one file. What remains of the list when all
// sinks are comments says nothing; an explicit empty list asks for none.
func (d *decoder) sinks(dst *[]Sink) value {
	return func(name string, n ast.Node) {
		if _, isNull := n.(*ast.NullNode); isNull {
			return
		}
		nodes, ok := d.list(name, n)
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
				d.errorf(n, "%s[%d] is called %q like the sink in line %d; give each a name of its own", name, i, s.Name, line)
			}
			lines[s.Name] = s.at.Line
			*dst = append(*dst, s)
		}
	}
}

// sink reads one sink. Its Name is empty when that or the type is no good.
func (d *decoder) sink(name string, n ast.Node) Sink {
	s := Sink{From: FromEnd, at: d.at(n)}
	pairs, ok := d.pairs(name, n)
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
		d.errorf(n, "%s has no type; add type: %s", name, strings.Join(sinkTypes(), ", "))
		return s
	}
	d.text(&s.Type, oneOf(sinkTypes()...))(name+".type", typ)
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
	before := len(d.problems)
	given := d.mapping(name, n, ks)
	if s.named = given["name"] != nil; !s.named {
		s.Name = s.Type
	}
	if len(d.problems) == before {
		d.combinations(name, n, &s, given)
	}
	return s
}

// common returns the keys of every type of sink.
func (d *decoder) common(s *Sink) keys {
	return keys{
		"name":  d.text(&s.Name, sinkName),
		"type":  func(string, ast.Node) {}, // was read first
		"match": d.match(&s.Match),
		"from":  d.text(&s.From, oneOf(FromEnd, FromOldest)),
		"raw":   d.bool(&s.Raw),

		"coalesce": orZero(&s.Coalesce, d.duration(&s.Coalesce, 10*time.Millisecond, mostPause)),
	}
}

// own returns the keys of the type of s only, and sets what they have for
// defaults.
func (d *decoder) own(s *Sink) keys {
	switch s.Type {
	case TypeConsole:
		s.Format = FormatText
		return keys{"format": d.text(&s.Format, oneOf(FormatJSON, FormatText))}
	case TypeFile:
		s.Format = FormatJSON
		s.File = &File{Mode: 0o640}
		return keys{
			"format": d.text(&s.Format, oneOf(FormatJSON, FormatText, FormatRaw)),
			"path":   d.text(&s.File.Path, absoluteFile),
			"mode":   d.mode(&s.File.Mode, 0o600, 0o664),
			"group":  d.text(&s.File.Group, printableText),
			"rotate": d.rotate(&s.File.Rotate),
			"sync":   d.bool(&s.File.Sync),
		}
	case TypeSyslog:
		s.Syslog = &Syslog{Facility: "authpriv", SDID: "ipe@32473"}
		return keys{
			"address":  d.text(&s.Syslog.Address, s.Syslog.parseAddress),
			"facility": d.text(&s.Syslog.Facility, oneOf(facilities()...)),
			"rfc":      d.rfc(&s.Syslog.RFC),
			"sd_id":    d.text(&s.Syslog.SDID, sdID),
			"ca":       d.text(&s.Syslog.CA, absoluteFile),
			"cert":     d.text(&s.Syslog.Cert, absoluteFile),
			"key":      d.text(&s.Syslog.Key, absoluteFile),
		}
	case TypeExec:
		s.Format = FormatJSON
		s.Exec = &Exec{Mode: ModeStream, Timeout: 30 * time.Second, MaxPerMinute: 30}
		return keys{
			"format":         d.text(&s.Format, oneOf(FormatJSON)),
			"command":        d.texts(&s.Exec.Command, noNUL),
			"mode":           d.text(&s.Exec.Mode, oneOf(ModeStream, ModeEach)),
			"timeout":        d.duration(&s.Exec.Timeout, time.Second, mostPause),
			"max_per_minute": d.number(&s.Exec.MaxPerMinute, 1, 6000),
		}
	}
	return keys{} // journald
}

// foreign refuses a key that sinks of other types have.
func (d *decoder) foreign(s *Sink, key string) value {
	var owners []string
	for _, t := range sinkTypes() {
		if d.own(&Sink{Type: t})[key] != nil {
			owners = append(owners, t)
		}
	}
	return func(name string, n ast.Node) {
		d.errorf(n, "%s does not belong to a sink of type %s, only to %s; remove it", name, s.Type, strings.Join(owners, ", "))
	}
}

func (d *decoder) rotate(dst **Rotate) value {
	return func(name string, n ast.Node) {
		r := &Rotate{Size: 64 * MiB, Age: 24 * time.Hour, Keep: 14, Compress: true}
		*dst = r
		d.mapping(name, n, keys{
			"size":     orZero(&r.Size, d.size(&r.Size, leastRotate, mostSize)),
			"age":      orZero(&r.Age, d.duration(&r.Age, time.Minute, mostAge)),
			"keep":     d.number(&r.Keep, 1, 10000),
			"compress": d.bool(&r.Compress),
		})
		if r.Size == 0 && r.Age == 0 {
			d.errorf(n, "%s would never happen, by neither size nor age; set one of them, or remove it", name)
		}
	}
}

func (d *decoder) rfc(dst *int) value {
	return func(name string, n ast.Node) {
		switch s, ok := d.scalar(name, n); {
		case !ok:
		case s == "3164":
			*dst = 3164
		case s == "5424":
			*dst = 5424
		default:
			d.errorf(n, "%s is 3164 or 5424, not %s", name, quote(s))
		}
	}
}

// combinations checks what no key can check alone, and sets the defaults that
// depend on other keys.
func (d *decoder) combinations(name string, n ast.Node, s *Sink, given map[string]ast.Node) {
	required := func(key, example string) bool {
		if given[key] == nil {
			d.errorf(n, "%s has no %s; add one, as in %s: %s", name, key, key, example)
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
		d.errorf(given["coalesce"], "%s.coalesce counts records, and format raw has no place for a number; set format: json, or remove it", name)
	}
	switch raw := given["raw"]; {
	case !s.Raw:
	case s.Format == FormatText, s.Format == FormatRaw:
		d.errorf(raw, "%s.raw adds nothing to format %s; set format: json, or remove it", name, s.Format)
	case s.Syslog != nil && s.Syslog.RFC == 3164:
		d.errorf(raw, "%s.raw adds nothing to RFC 3164, which has no fields; set rfc: 5424, or remove it", name)
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
		d.errorf(n, "%s.sd_id is for structured data, which RFC 3164 does not have; set rfc: 5424, or remove it", name)
	}
	for _, key := range []string{"ca", "cert", "key"} {
		if n := given[key]; n != nil && s.Network != NetworkTLS {
			d.errorf(n, "%s.%s is for TLS, but the address is %s://; use tls://, or remove it", name, key, s.Network)
		}
	}
	switch {
	case given["cert"] != nil && given["key"] == nil:
		d.errorf(given["cert"], "%s.cert needs its key; add key: FILE", name)
	case given["key"] != nil && given["cert"] == nil:
		d.errorf(given["key"], "%s.key needs its certificate; add cert: FILE", name)
	}
}

// isLocalLog reports whether a socket is that of the local syslog, behind which
// journald reads RFC 3164 only (systemd-journald.service(8)).
func isLocalLog(p string) bool {
	return p == "/dev/log" || p == "/run/systemd/journal/dev-log"
}

func (d *decoder) execCombinations(name string, s *Sink, given map[string]ast.Node) {
	e := s.Exec
	if err := absoluteFile(e.Command[0]); err != nil {
		d.errorf(given["command"], "%s.command[0]: %v; there is no shell and no $PATH", name, err)
	}
	switch {
	case e.Mode == ModeStream && given["max_per_minute"] != nil:
		d.errorf(given["max_per_minute"], "%s.max_per_minute is for mode each; set mode: each, or remove it", name)
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
		return fmt.Errorf("%s is not a name; use up to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", quote(s))
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
		return fmt.Errorf("%s is not an SD-ID; write a name, @ and your private enterprise number, as in ipe@32473", quote(s))
	}
	return nil
}

// parseAddress sets Network and Target.
func (s *Syslog) parseAddress(address string) error {
	schemes := []string{NetworkUnix, NetworkUDP, NetworkTCP, NetworkTLS}
	network, rest, ok := strings.Cut(address, "://")
	switch {
	case !ok:
		return fmt.Errorf("%s has no scheme; write unix:///dev/log, or udp://, tcp:// or tls:// and host:port", quote(address))
	case !slices.Contains(schemes, network):
		return fmt.Errorf("unknown scheme %s%s", quote(network), didYouMean(network, schemes))
	case network == NetworkUnix:
		if err := absoluteFile(rest); err != nil {
			return fmt.Errorf("%w, as in unix:///dev/log", err)
		}
		s.Network, s.Target = network, path.Clean(rest)
		return socketPath(rest)
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
		return "", "", fmt.Errorf("%s is not host:port; put an IPv6 address in brackets, as in [2001:db8::1]:514", quote(s))
	case host == "" || strings.ContainsAny(host, "/@?#[] ") || strings.ContainsFunc(host, notText):
		return "", "", fmt.Errorf("%s has no plain host name or address; write host:port and nothing else", quote(s))
	case portErr != nil || n == 0:
		return "", "", fmt.Errorf("%s is not a port; use 1 to 65535", quote(port))
	}
	return host, port, nil
}
