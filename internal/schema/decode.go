package schema

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// A Decoder turns the syntax tree of one file into values and collects what is
// wrong with them. It works on the tree and not through yaml.Unmarshal, because
// that stops at the first error and, for values that are merged into earlier
// ones, cannot say which were given.
type Decoder struct {
	File     string    // its name, for messages
	Problems []Problem // what is wrong; the values that were read then mean nothing
	Warnings []Problem // what is dubious

	lines []string
}

// A Value reads one node into where it belongs. The name is what messages call
// it: "spool.size".
type Value func(name string, n ast.Node)

// Keys are the values of a mapping.
type Keys map[string]Value

// At returns a problem at n, still without a message. A block mapping begins at
// its first key; the parser says at the colon behind it.
func (d *Decoder) At(n ast.Node) Problem {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	p := Problem{File: d.File}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
		if p.Line >= 1 && p.Line <= len(d.lines) {
			p.Source = d.lines[p.Line-1]
		}
	}
	return p
}

// Errorf adds a problem at n.
func (d *Decoder) Errorf(n ast.Node, format string, args ...any) {
	p := d.At(n)
	p.Message = fmt.Sprintf(format, args...)
	d.Problems = append(d.Problems, p)
}

// Warnf adds a warning at n.
func (d *Decoder) Warnf(n ast.Node, format string, args ...any) {
	p := d.At(n)
	p.Message = fmt.Sprintf(format, args...)
	d.Warnings = append(d.Warnings, p)
}

// Parse returns the one document in data, or nil when there is none or it is
// broken.
func (d *Decoder) Parse(data []byte) (root ast.Node) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		d.lines = append(d.lines, string(line))
		if bad := bytes.IndexFunc(line, NotText); bad >= 0 {
			d.Problems = append(d.Problems, Problem{
				File: d.File, Line: i + 1, Column: utf8.RuneCount(line[:bad]) + 1, Source: string(line),
				Message: "a control character, or not UTF-8; remove it",
			})
		}
	}
	if len(d.Problems) > 0 {
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if !d.plain(tokens) {
		return nil
	}

	// The parser has crashed on odd input before; a reload must survive that.
	defer func() {
		if r := recover(); r != nil {
			root = nil
			d.Problems = append(d.Problems, Problem{File: d.File, Message: "not YAML: the parser gave up"})
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // mapping reports duplicates, all of them
	if err != nil {
		p, message := Problem{File: d.File}, err.Error()
		if e := yaml.Error(nil); errors.As(err, &e) {
			message = e.GetMessage()
			if t := e.GetToken(); t != nil {
				p = d.At(&ast.StringNode{Token: t})
			}
		}
		// The message may cite the file.
		p.Message = "not YAML: " + strings.Map(Printable, strings.ReplaceAll(message, "\t", `\t`))
		d.Problems = append(d.Problems, p)
		return nil
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			d.Errorf(doc.Body, "a second document; put it into a file of its own")
		default:
			root = doc.Body
		}
	}
	return root
}

// plain reports whether the tokens have only such YAML as a configuration needs,
// nested no deeper than it needs. The parser recurses, and takes time that grows
// with the square of the depth.
func (d *Decoder) plain(tokens token.Tokens) bool {
	const maxDepth, maxColumn = 32, 200
	refuse := func(t *token.Token, message string) bool {
		p := d.At(&ast.StringNode{Token: t})
		p.Message = message
		d.Problems = append(d.Problems, p)
		return false
	}
	depth := 0 // of [ and {; that of indented lists shows in their columns
	for _, t := range tokens {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.MappingKeyType:
			return refuse(t, "anchors (&), aliases (*), merge keys (<<), tags (!) and ? keys are not read; write it out, or in quotes")
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth = max(depth-1, 0)
		}
		if depth > maxDepth || t.Type == token.SequenceEntryType && t.Position.Column > maxColumn {
			return refuse(t, "nested too deep")
		}
	}
	return true
}

// NotText reports whether r cannot be in a line of a configuration: a byte that
// is not UTF-8, or a control character other than the tab.
func NotText(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) && r != '\t'
}

// Mapping reads a mapping and returns the keys that are there. An empty value
// is an empty mapping: what remains of a section whose keys are all comments.
func (d *Decoder) Mapping(name string, n ast.Node, ks Keys) map[string]ast.Node {
	given := make(map[string]ast.Node)
	pairs, ok := d.Pairs(name, n)
	if !ok {
		return given
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		switch {
		case !ok:
			d.Errorf(pair.Key, "%s is not a key%s", What(pair.Key), inside(name))
			continue
		case given[key.Value] != nil:
			d.Errorf(key, "key %s%s again; it is already in line %d", text.Quote(key.Value), inside(name), d.At(given[key.Value]).Line)
			continue
		}
		given[key.Value] = key
		if read := ks[key.Value]; read != nil {
			read(join(name, key.Value), pair.Value)
			continue
		}
		d.Errorf(key, "unknown key %s%s%s", text.Quote(key.Value), inside(name), text.DidYouMean(key.Value, slices.Sorted(maps.Keys(ks))))
	}
	return given
}

// Pairs returns what is in a mapping.
func (d *Decoder) Pairs(name string, n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	case *ast.NullNode:
		return nil, true
	}
	if name == "" {
		name = "the file"
	}
	d.Errorf(n, "%s wants a mapping (key: value), not %s", name, What(n))
	return nil, false
}

// List returns what is in a sequence.
func (d *Decoder) List(name string, n ast.Node) ([]ast.Node, bool) {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values, true
	}
	d.Errorf(n, "%s wants a list, as in [a, b], not %s", name, What(n))
	return nil, false
}

func join(name, key string) string {
	if name == "" {
		return key
	}
	return name + "." + key
}

func inside(name string) string {
	if name == "" {
		return ""
	}
	return " in " + name
}

// What names the sort of a node for messages.
func What(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return text.Quote(n.GetToken().Value)
	case *ast.StringNode:
		return "the text " + text.Quote(n.Value)
	case *ast.LiteralNode:
		return "a text"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return "such a thing" // plain lets nothing else through
}
