package config

import (
	"fmt"
	"maps"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipe-auditd/ipe-auditd/internal/coalesce"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/schema"
	"github.com/ipe-auditd/ipe-auditd/internal/sink"
	"github.com/ipe-auditd/ipe-auditd/internal/sinks"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

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
		d.Errorf(n, "%s has no type; add type: %s", name, strings.Join(sinks.Names(), ", "))
		return s
	}
	d.Text(&s.Type, schema.OneOf(sinks.Names()...))(name+".type", typ)
	if s.Type == "" {
		return s
	}
	s.Settings = sinks.Settings(s.Type)

	ks := d.common(&s)
	maps.Copy(ks, s.Settings.Keys(&d.Decoder))
	for key, owners := range d.owners() {
		if ks[key] == nil {
			ks[key] = d.misplaced(s.Type, owners)
		}
	}
	before := len(d.Problems)
	given := d.Mapping(name, n, ks)
	if s.named = given["name"] != nil; !s.named {
		s.Name = s.Type
	}
	d.checkOmit(name, &s)
	s.omit = nil
	if len(d.Problems) == before {
		s.Settings.Check(&sink.Section{
			Decoder: &d.Decoder, Name: name, Node: n, Given: given,
			Match: &s.Match, Raw: s.Raw, Coalesce: s.Coalesce,
		})
	}
	return s
}

// owners returns the types of sinks that have a key of their own, by key.
func (d *decoder) owners() map[string][]string {
	owners := make(map[string][]string)
	for _, t := range sinks.Types() {
		for key := range t.Settings().Keys(&d.Decoder) {
			owners[key] = append(owners[key], t.Name)
		}
	}
	return owners
}

// misplaced refuses a key that sinks of other types have.
func (d *decoder) misplaced(typ string, owners []string) schema.Value {
	return func(name string, n ast.Node) {
		d.Errorf(n, "%s does not belong to a sink of type %s, only to %s; remove it", name, typ, strings.Join(owners, ", "))
	}
}

// common returns the keys of every type of sink.
func (d *decoder) common(s *Sink) schema.Keys {
	return schema.Keys{
		"name":  d.Text(&s.Name, sinkName),
		"type":  func(string, ast.Node) {}, // was read first
		"match": d.match(&s.Match),
		"from":  d.Text(&s.From, schema.OneOf(FromEnd, FromOldest)),
		"raw":   d.Bool(&s.Raw),
		"omit":  d.omit(s),

		"coalesce": schema.OrZero(&s.Coalesce, d.Duration(&s.Coalesce, coalesce.Shortest, coalesce.Longest)),
	}
}

// omit reads the keys that a sink is not to have.
func (d *decoder) omit(s *Sink) schema.Value {
	read := d.Texts(&s.Omit, schema.OneOf(format.Omittable()...))
	return func(name string, n ast.Node) {
		read(name, n)
		s.omit = n
	}
}

// checkOmit refuses to send the text of records that has what is to be left out.
func (d *decoder) checkOmit(name string, s *Sink) {
	o, err := format.NewOmission(s.Omit)
	if err != nil || !o.HasRecord() {
		return
	}
	if s.Raw {
		d.Errorf(s.omit, "%s.omit leaves out what is in the text of the record, which raw: true asks for; remove one of them", name)
	}
	if w, ok := s.Settings.(interface{ WritesRecords() bool }); ok && w.WritesRecords() {
		d.Errorf(s.omit, "%s.omit leaves out what is in the text of the record, which format: raw writes; remove one of them", name)
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
