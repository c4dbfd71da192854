package config

import (
	"errors"
	"fmt"
	"github.com/ipe-auditd/ipe-auditd/internal/match"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/seal"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

// Bounds of what may be asked for.
const (
	leastBuffer = 64 * units.KiB
	mostBuffer  = 1 * units.GiB // SO_RCVBUF ends at INT_MAX/2: net/core/sock.c, __sock_set_rcvbuf
	leastSpool  = 1 * units.MiB
	mostSize    = 1 * units.TiB

	mostPause = time.Hour
	mostJoin  = 10 * time.Second

	leastHeartbeat = time.Second
	mostHeartbeat  = 24 * time.Hour
)

// decoder reads the sections of one file.
type decoder struct {
	schema.Decoder
	heartbeat bool // the file says it
}

// config reads a whole file into c, except for the sinks: those are returned,
// because they do not replace each other key by key.
func (d *decoder) config(c *Config, root ast.Node) (sinks []Sink) {
	d.Mapping("", root, schema.Keys{
		"source": d.Section(schema.Keys{
			"receive_buffer": d.Size(&c.Source.ReceiveBuffer, leastBuffer, mostBuffer),
			"companions":     d.Text(&c.Source.Companions, schema.OneOf(CompanionsAuto, CompanionsOff)),
			"join":           schema.OrZero(&c.Source.Join, d.Duration(&c.Source.Join, time.Millisecond, mostJoin)),
			"proctitle":      d.Bool(&c.Source.Proctitle),
		}),
		"spool": d.Section(schema.Keys{
			"dir":    d.Text(&c.Spool.Dir, schema.OrEmpty(schema.Absolute)),
			"size":   d.Size(&c.Spool.Size, leastSpool, mostSize),
			"memory": d.Size(&c.Spool.Memory, leastSpool, mostSize),
			"sync":   d.Duration(&c.Spool.Sync, 0, mostPause),
		}),
		"api": d.Section(schema.Keys{
			"path":  d.Text(&c.API.Path, schema.OrEmpty(schema.AbsoluteFile), schema.SocketPath),
			"mode":  d.Mode(&c.API.Mode, 0o600, 0o666),
			"group": d.Text(&c.API.Group, schema.PrintableText),
		}),
		"metrics": d.Section(schema.Keys{
			"textfile": d.textfile(&c.Metrics.Textfile),
		}),
		"log": d.Section(schema.Keys{
			"level": d.Text(&c.Log.Level, schema.OneOf("debug", "info", "warn", "error")),
		}),
		"heartbeat": d.interval(&c.Heartbeat),
		"seal": d.Section(schema.Keys{
			"key":      d.Text(&c.Seal.Key, schema.OrEmpty(schema.AbsoluteFile)),
			"every":    d.Number(&c.Seal.Every, 1, seal.MaxEvery),
			"interval": d.Duration(&c.Seal.Interval, leastHeartbeat, mostHeartbeat),
		}),
		"sinks": d.sinks(&sinks),
	})
	return sinks
}

// interval reads the time between heartbeats.
func (d *decoder) interval(dst *Interval) schema.Value {
	return func(name string, n ast.Node) {
		d.heartbeat = true
		word := ""
		if _, ok := n.(ast.ScalarNode); ok {
			word = n.GetToken().Value
		}
		v, err := units.ParseDuration(word)
		switch {
		case word == "off", err == nil && v == 0:
			*dst = 0
		case err != nil, v < leastHeartbeat, v > mostHeartbeat:
			d.Errorf(n, "%s wants a time from %s to %s, as in 5m, or off, not %s", name,
				units.FormatDuration(leastHeartbeat), units.FormatDuration(mostHeartbeat), schema.What(n))
		default:
			*dst = Interval(v)
		}
	}
}

// textfile reads the name of the file for node_exporter, whose textfile
// collector reads *.prom.
func (d *decoder) textfile(dst *string) schema.Value {
	read := d.Text(dst, schema.OrEmpty(schema.AbsoluteFile))
	return func(name string, n ast.Node) {
		read(name, n)
		if *dst != "" && !strings.HasSuffix(*dst, ".prom") {
			d.Warnf(n, "%s: node_exporter reads only files whose names end in .prom", name)
		}
	}
}

// match reads one selection or a list of them.
func (d *decoder) match(dst *[]match.Selection) schema.Value {
	return func(name string, n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			if _, ok := n.(ast.ScalarNode); ok && n.Type() != ast.NullType {
				d.Errorf(n, "%s wants a selection, as in {events: [lost]}, or a list of them, not %s", name, schema.What(n))
				return
			}
			*dst = make([]match.Selection, 1)
			d.selection(&(*dst)[0])(name, n)
			return
		}
		if len(list.Values) == 0 {
			d.Errorf(n, "%s is an empty list; leave the key out to take every event", name)
			return
		}
		*dst = make([]match.Selection, len(list.Values))
		for i, n := range list.Values {
			d.selection(&(*dst)[i])(fmt.Sprintf("%s[%d]", name, i), n)
		}
	}
}

func (d *decoder) selection(dst *match.Selection) schema.Value {
	return func(name string, n ast.Node) {
		d.Mapping(name, n, schema.Keys{
			"events":   d.Texts(&dst.Events, schema.OneOf(match.Events()...)),
			"verdicts": d.Texts(&dst.Verdicts, schema.OneOf(match.Verdicts()...)),
			"ops":      d.familiar(&dst.Ops, match.Ops()),
			"hooks":    d.familiar(&dst.Hooks, match.Hooks()),
			"paths":    d.Texts(&dst.Paths, glob),
			"units":    d.Texts(&dst.Units, pattern),
			"users": d.Texts(&dst.Users, func(s string) error {
				if _, err := match.UserID(s); err != nil {
					return fmt.Errorf("%s is %w", text.Quote(s), err)
				}
				return nil
			}),
			"containers": d.Texts(&dst.Containers, pattern),
			"not": func(name string, n ast.Node) {
				dst.Not = new(match.Selection)
				d.selection(dst.Not)(name, n)
			},
		})
		switch m, _ := n.(*ast.MappingNode); {
		case n.Type() == ast.NullType, m != nil && len(m.Values) == 0:
			d.Errorf(n, "%s is an empty selection; leave it out or name something", name)
		}
	}
}

// familiar reads a list of names of the kernel. Names that are not known are
// allowed, because kernels learn new ones, but they may be slips.
func (d *decoder) familiar(dst *[]string, names []string) schema.Value {
	read := d.Texts(dst)
	return func(name string, n ast.Node) {
		read(name, n)
		list, _ := n.(*ast.SequenceNode)
		if list == nil {
			return
		}
		for _, n := range list.Values {
			if s, ok := n.(*ast.StringNode); ok && !slices.Contains(names, s.Value) {
				d.Warnf(n, "%s: no kernel is known to write %s%s", name, text.Quote(s.Value), text.DidYouMean(s.Value, names))
			}
		}
	}
}

// pattern checks a name in which * and ? may stand.
func pattern(s string) error {
	if s == "" {
		return errors.New("an empty text is not a name")
	}
	return nil
}

// glob checks what all globs have in common; what they mean is not decided
// here.
func glob(s string) error {
	if s == "" {
		return errors.New("an empty text is not a glob")
	}
	if _, err := path.Match(strings.ReplaceAll(s, "**", "*"), ""); err != nil {
		return fmt.Errorf("%s is not a glob; close every [ and end in no \\", text.Quote(s))
	}
	return nil
}
