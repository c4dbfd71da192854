package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// decoder turns the syntax tree of one file into values and collects what is
// wrong with them. It works on the tree and not through yaml.Unmarshal, because
// that stops at the first error and, for values that are merged into earlier
// ones, cannot say which were given.
type decoder struct {
	file     string
	lines    []string
	problems []Problem
	warnings []Problem
}

// A value reads one node into where it belongs. The name is what messages call
// it: "spool.size".
type value func(name string, n ast.Node)

// keys are the values of a mapping.
type keys map[string]value

// at returns a problem at n, still without a message. A block mapping begins at
// its first key; the parser says at the colon behind it.
func (d *decoder) at(n ast.Node) Problem {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	p := Problem{File: d.file}
	if t := n.GetToken(); t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
		if p.Line >= 1 && p.Line <= len(d.lines) {
			p.Source = d.lines[p.Line-1]
		}
	}
	return p
}

func (d *decoder) errorf(n ast.Node, format string, args ...any) {
	p := d.at(n)
	p.Message = fmt.Sprintf(format, args...)
	d.problems = append(d.problems, p)
}

func (d *decoder) warnf(n ast.Node, format string, args ...any) {
	p := d.at(n)
	p.Message = fmt.Sprintf(format, args...)
	d.warnings = append(d.warnings, p)
}

// parse returns the one document in data, or nil when there is none or it is
// broken.
func (d *decoder) parse(data []byte) (root ast.Node) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		d.lines = append(d.lines, string(line))
		if bad := bytes.IndexFunc(line, notText); bad >= 0 {
			d.problems = append(d.problems, Problem{
				File: d.file, Line: i + 1, Column: utf8.RuneCount(line[:bad]) + 1, Source: string(line),
				Message: "a control character, or not UTF-8; remove it",
			})
		}
	}
	if len(d.problems) > 0 {
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
			d.problems = append(d.problems, Problem{File: d.file, Message: "not YAML: the parser gave up"})
		}
	}()
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // mapping reports duplicates, all of them
	if err != nil {
		p, message := Problem{File: d.file}, err.Error()
		if e := yaml.Error(nil); errors.As(err, &e) {
			message = e.GetMessage()
			if t := e.GetToken(); t != nil {
				p = d.at(&ast.StringNode{Token: t})
			}
		}
		// The message may cite the file.
		p.Message = "not YAML: " + strings.Map(printable, strings.ReplaceAll(message, "\t", `\t`))
		d.problems = append(d.problems, p)
		return nil
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			d.errorf(doc.Body, "a second document; put it into a file of its own")
		default:
			root = doc.Body
		}
	}
	return root
}

// plain reports whether the tokens have only such YAML as a configuration needs,
// nested no deeper than it needs. The parser recurses, and takes time that grows
// with the square of the depth.
func (d *decoder) plain(tokens token.Tokens) bool {
	const maxDepth, maxColumn = 32, 200
	refuse := func(t *token.Token, message string) bool {
		p := d.at(&ast.StringNode{Token: t})
		p.Message = message
		d.problems = append(d.problems, p)
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

// notText reports whether r cannot be in a line of a configuration: a byte that
// is not UTF-8, or a control character other than the tab.
func notText(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) && r != '\t'
}

// mapping reads a mapping and returns the keys that are there. An empty value
// is an empty mapping: what remains of a section whose keys are all comments.
func (d *decoder) mapping(name string, n ast.Node, ks keys) map[string]ast.Node {
	given := make(map[string]ast.Node)
	pairs, ok := d.pairs(name, n)
	if !ok {
		return given
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		switch {
		case !ok:
			d.errorf(pair.Key, "%s is not a key%s", what(pair.Key), inside(name))
			continue
		case given[key.Value] != nil:
			d.errorf(key, "key %s%s again; it is already in line %d", quote(key.Value), inside(name), d.at(given[key.Value]).Line)
			continue
		}
		given[key.Value] = key
		if read := ks[key.Value]; read != nil {
			read(join(name, key.Value), pair.Value)
			continue
		}
		d.errorf(key, "unknown key %s%s%s", quote(key.Value), inside(name), didYouMean(key.Value, slices.Sorted(maps.Keys(ks))))
	}
	return given
}

// pairs returns what is in a mapping.
func (d *decoder) pairs(name string, n ast.Node) ([]*ast.MappingValueNode, bool) {
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
	d.errorf(n, "%s wants a mapping (key: value), not %s", name, what(n))
	return nil, false
}

// list returns what is in a sequence.
func (d *decoder) list(name string, n ast.Node) ([]ast.Node, bool) {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values, true
	}
	d.errorf(n, "%s wants a list, as in [a, b], not %s", name, what(n))
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

// what names the sort of a node for messages.
func what(n ast.Node) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return quote(n.GetToken().Value)
	case *ast.StringNode:
		return "the text " + quote(n.Value)
	case *ast.LiteralNode:
		return "a text"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	}
	return "such a thing" // plain lets nothing else through
}

// section reads a mapping of fixed keys.
func (d *decoder) section(ks keys) value {
	return func(name string, n ast.Node) { d.mapping(name, n, ks) }
}

// A check says what is wrong with a text, or returns nil.
type check func(string) error

// text reads a string that satisfies all checks.
func (d *decoder) text(dst *string, checks ...check) value {
	return func(name string, n ast.Node) {
		s, ok := d.string(name, n)
		if !ok {
			return
		}
		for _, c := range checks {
			if err := c(s); err != nil {
				d.errorf(n, "%s: %v", name, err)
				return
			}
		}
		*dst = s
	}
}

func (d *decoder) string(name string, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		d.errorf(n, "%s wants a text; put it in quotes: %s", name, quote(n.GetToken().Value))
		return "", false
	}
	d.errorf(n, "%s wants a text, not %s", name, what(n))
	return "", false
}

// texts reads a list of at least one string.
func (d *decoder) texts(dst *[]string, checks ...check) value {
	return func(name string, n ast.Node) {
		nodes, ok := d.list(name, n)
		if ok && len(nodes) == 0 {
			d.errorf(n, "%s is an empty list; leave the key out or name something", name)
		}
		list := make([]string, len(nodes))
		for i, n := range nodes {
			d.text(&list[i], checks...)(fmt.Sprintf("%s[%d]", name, i), n)
		}
		if len(list) > 0 {
			*dst = list
		}
	}
}

// oneOf checks that a text is one of names.
func oneOf(names ...string) check {
	return func(s string) error {
		if !slices.Contains(names, s) {
			return fmt.Errorf("unknown value %s%s", quote(s), didYouMean(s, names))
		}
		return nil
	}
}

// scalar returns the text of a scalar as it is in the file, whatever YAML takes
// it for.
func (d *decoder) scalar(name string, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	d.errorf(n, "%s wants a value, not %s", name, what(n))
	return "", false
}

// size reads a [Size] between least and most.
func (d *decoder) size(dst *Size, least, most Size) value {
	return func(name string, n ast.Node) {
		s, ok := d.scalar(name, n)
		if !ok {
			return
		}
		switch v, err := ParseSize(s); {
		case err != nil:
			d.errorf(n, "%s: %v", name, err)
		case v < least || v > most:
			d.errorf(n, "%s: %v is out of range; it must be between %v and %v", name, v, least, most)
		default:
			*dst = v
		}
	}
}

// duration reads a duration between least and most.
func (d *decoder) duration(dst *time.Duration, least, most time.Duration) value {
	return func(name string, n ast.Node) {
		s, ok := d.scalar(name, n)
		if !ok {
			return
		}
		switch v, err := ParseDuration(s); {
		case err != nil:
			d.errorf(n, "%s: %v", name, err)
		case v < least || v > most:
			d.errorf(n, "%s: %s is out of range; it must be between %s and %s", name, s, formatDuration(least), formatDuration(most))
		default:
			*dst = v
		}
	}
}

// number reads a whole number between least and most.
func (d *decoder) number(dst *int, least, most int) value {
	return func(name string, n ast.Node) {
		i, ok := n.(*ast.IntegerNode)
		if !ok {
			d.errorf(n, "%s wants a whole number, not %s", name, what(n))
			return
		}
		v, err := strconv.Atoi(i.Token.Value)
		if errors.Is(err, strconv.ErrSyntax) { // 1_000, 0x10
			d.errorf(n, "%s wants a whole number in plain digits, not %s", name, what(n))
			return
		}
		if err != nil || v < least || v > most {
			d.errorf(n, "%s: %s is out of range; it must be between %d and %d", name, quote(i.Token.Value), least, most)
			return
		}
		*dst = v
	}
}

// orZero reads 0 as the zero of dst, which turns something off, and leaves all
// else to read.
func orZero[T any](dst *T, read value) value {
	return func(name string, n ast.Node) {
		switch s, _ := n.(ast.ScalarNode); {
		case s != nil && (s.GetToken().Value == "0" || s.GetToken().Value == "0s"):
			*dst = *new(T)
		default:
			read(name, n)
		}
	}
}

// bool reads true or false.
func (d *decoder) bool(dst *bool) value {
	return func(name string, n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.errorf(n, "%s wants true or false, not %s", name, what(n))
			return
		}
		*dst = b.Value
	}
}

// mode reads permission bits, of which all in must have to be there and none
// outside of may.
func (d *decoder) mode(dst *fs.FileMode, must, may fs.FileMode) value {
	return func(name string, n ast.Node) {
		s, ok := d.scalar(name, n)
		if !ok {
			return
		}
		switch v, err := ParseMode(s); {
		case err != nil:
			d.errorf(n, "%s: %v", name, err)
		case v&must != must:
			d.errorf(n, "%s: %04o locks the daemon itself out; add %04o", name, v, must)
		case v&^may != 0:
			d.errorf(n, "%s: %04o gives away too much; take away %04o", name, v, v&^may)
		default:
			*dst = v
		}
	}
}
