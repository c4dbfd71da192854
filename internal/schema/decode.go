package schema

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

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
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

// Section reads a mapping of fixed keys.
func (d *Decoder) Section(ks Keys) Value {
	return func(name string, n ast.Node) { d.Mapping(name, n, ks) }
}

// A Check says what is wrong with a text, or returns nil.
type Check func(string) error

// Text reads a string that satisfies all checks.
func (d *Decoder) Text(dst *string, checks ...Check) Value {
	return func(name string, n ast.Node) {
		s, ok := d.string(name, n)
		if !ok {
			return
		}
		for _, c := range checks {
			if err := c(s); err != nil {
				d.Errorf(n, "%s: %v", name, err)
				return
			}
		}
		*dst = s
	}
}

func (d *Decoder) string(name string, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		d.Errorf(n, "%s wants a text; put it in quotes: %s", name, text.Quote(n.GetToken().Value))
		return "", false
	}
	d.Errorf(n, "%s wants a text, not %s", name, What(n))
	return "", false
}

// Texts reads a list of at least one string.
func (d *Decoder) Texts(dst *[]string, checks ...Check) Value {
	return func(name string, n ast.Node) {
		nodes, ok := d.List(name, n)
		if ok && len(nodes) == 0 {
			d.Errorf(n, "%s is an empty list; leave the key out or name something", name)
		}
		list := make([]string, len(nodes))
		for i, n := range nodes {
			d.Text(&list[i], checks...)(fmt.Sprintf("%s[%d]", name, i), n)
		}
		if len(list) > 0 {
			*dst = list
		}
	}
}

// OneOf checks that a text is one of names.
func OneOf(names ...string) Check {
	return func(s string) error {
		if !slices.Contains(names, s) {
			return fmt.Errorf("unknown value %s%s", text.Quote(s), text.DidYouMean(s, names))
		}
		return nil
	}
}

// Scalar returns the text of a scalar as it is in the file, whatever YAML takes
// it for.
func (d *Decoder) Scalar(name string, n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	}
	d.Errorf(n, "%s wants a value, not %s", name, What(n))
	return "", false
}

// Size reads a [units.Size] between least and most.
func (d *Decoder) Size(dst *units.Size, least, most units.Size) Value {
	return func(name string, n ast.Node) {
		s, ok := d.Scalar(name, n)
		if !ok {
			return
		}
		switch v, err := units.ParseSize(s); {
		case err != nil:
			d.Errorf(n, "%s: %v", name, err)
		case v < least || v > most:
			d.Errorf(n, "%s: %v is out of range; it must be between %v and %v", name, v, least, most)
		default:
			*dst = v
		}
	}
}

// Duration reads a duration between least and most.
func (d *Decoder) Duration(dst *time.Duration, least, most time.Duration) Value {
	return func(name string, n ast.Node) {
		s, ok := d.Scalar(name, n)
		if !ok {
			return
		}
		switch v, err := units.ParseDuration(s); {
		case err != nil:
			d.Errorf(n, "%s: %v", name, err)
		case v < least || v > most:
			d.Errorf(n, "%s: %s is out of range; it must be between %s and %s", name, s, units.FormatDuration(least), units.FormatDuration(most))
		default:
			*dst = v
		}
	}
}

// Number reads a whole number between least and most.
func (d *Decoder) Number(dst *int, least, most int) Value {
	return func(name string, n ast.Node) {
		i, ok := n.(*ast.IntegerNode)
		if !ok {
			d.Errorf(n, "%s wants a whole number, not %s", name, What(n))
			return
		}
		v, err := strconv.Atoi(i.Token.Value)
		if errors.Is(err, strconv.ErrSyntax) { // 1_000, 0x10
			d.Errorf(n, "%s wants a whole number in plain digits, not %s", name, What(n))
			return
		}
		if err != nil || v < least || v > most {
			d.Errorf(n, "%s: %s is out of range; it must be between %d and %d", name, text.Quote(i.Token.Value), least, most)
			return
		}
		*dst = v
	}
}

// OrZero reads 0 as the zero of dst, which turns something off, and leaves all
// else to read.
func OrZero[T any](dst *T, read Value) Value {
	return func(name string, n ast.Node) {
		switch s, _ := n.(ast.ScalarNode); {
		case s != nil && (s.GetToken().Value == "0" || s.GetToken().Value == "0s"):
			*dst = *new(T)
		default:
			read(name, n)
		}
	}
}

// Bool reads true or false.
func (d *Decoder) Bool(dst *bool) Value {
	return func(name string, n ast.Node) {
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.Errorf(n, "%s wants true or false, not %s", name, What(n))
			return
		}
		*dst = b.Value
	}
}

// Mode reads permission bits, of which all in must have to be there and none
// outside of may.
func (d *Decoder) Mode(dst *fs.FileMode, must, may fs.FileMode) Value {
	return func(name string, n ast.Node) {
		s, ok := d.Scalar(name, n)
		if !ok {
			return
		}
		switch v, err := units.ParseMode(s); {
		case err != nil:
			d.Errorf(n, "%s: %v", name, err)
		case v&must != must:
			d.Errorf(n, "%s: %04o locks the daemon itself out; add %04o", name, v, must)
		case v&^may != 0:
			d.Errorf(n, "%s: %04o gives away too much; take away %04o", name, v, v&^may)
		default:
			*dst = v
		}
	}
}
