package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/internal/units"
)

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
	hint := ""
	if n.Type() == ast.MappingType || n.Type() == ast.MappingValueType {
		hint = "; put a text with a colon in quotes"
	}
	d.Errorf(n, "%s wants a text, not %s%s", name, What(n), hint)
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

// OneNumberOf reads one of some numbers.
func (d *Decoder) OneNumberOf(dst *int, numbers ...int) Value {
	return func(name string, n ast.Node) {
		s, ok := d.Scalar(name, n)
		if !ok {
			return
		}
		var words []string
		for _, v := range numbers {
			if words = append(words, strconv.Itoa(v)); s == words[len(words)-1] {
				*dst = v
				return
			}
		}
		d.Errorf(n, "%s is %s, not %s", name, strings.Join(words, " or "), text.Quote(s))
	}
}
