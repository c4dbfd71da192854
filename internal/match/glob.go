package match

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxGlob is the longest glob in bytes: PATH_MAX, the longest path that the
// kernel can name.
const maxGlob = 4096

// A glob is a compiled path pattern: one element for each component.
type glob []component

// A component matches one component of a path, or with anyDepth a run of them.
type component struct {
	anyDepth bool   // **
	literal  []byte // the whole component if tokens is nil
	tokens   []token
}

type tokenKind uint8

const (
	tokenLiteral tokenKind = iota
	tokenOne               // ?
	tokenMany              // *
	tokenSet               // [...]
)

type token struct {
	kind    tokenKind
	literal []byte
	ranges  []runeRange
	negated bool
}

type runeRange struct{ lo, hi rune }

// compileGlob compiles s. Errors say what to write instead where that is known.
func compileGlob(s string) (glob, error) {
	switch {
	case s == "":
		return nil, errors.New("empty glob")
	case len(s) > maxGlob:
		return nil, fmt.Errorf("longer than %d bytes", maxGlob)
	case !utf8.ValidString(s):
		return nil, errors.New("not valid UTF-8; use ? for a byte that is not")
	case strings.ContainsRune(s, 0):
		return nil, errors.New("contains a NUL byte, which no path does")
	case s[0] != '/' && s[0] != '<' && s != "**" && !strings.HasPrefix(s, "**/"):
		return nil, fmt.Errorf(`matches no path, paths begin with a slash; did you mean %q?`, "**/"+s)
	case len(s) > 1 && strings.HasSuffix(s, "/"):
		return nil, fmt.Errorf("matches no path, paths do not end in a slash; did you mean %q?", s+"**")
	case strings.Contains(s, "//"):
		return nil, errors.New("matches no path, paths have no two slashes in a row")
	}
	var g glob
	for part := range strings.SplitSeq(s, "/") {
		if part == "**" {
			// A second ** in a row adds nothing but the demand for one more component
			// at the end, which nobody means.
			if len(g) == 0 || !g[len(g)-1].anyDepth {
				g = append(g, component{anyDepth: true})
			}
			continue
		}
		c, err := compileComponent(part)
		if err != nil {
			return nil, err
		}
		g = append(g, c)
	}
	return g, nil
}

func compileComponent(s string) (component, error) {
	var tokens []token
	literal := []byte{}
	add := func(t token) {
		if len(literal) > 0 {
			tokens = append(tokens, token{kind: tokenLiteral, literal: literal})
			literal = nil
		}
		tokens = append(tokens, t)
	}
	for s != "" {
		switch c := s[0]; c {
		case '*':
			if strings.HasPrefix(s, "**") {
				return component{}, errors.New(`** must stand alone between slashes, as in "/usr/**/*.so"`)
			}
			add(token{kind: tokenMany})
			s = s[1:]
		case '?':
			add(token{kind: tokenOne})
			s = s[1:]
		case '[':
			t, rest, err := compileSet(s[1:])
			if err != nil {
				return component{}, err
			}
			add(t)
			s = rest
		case '{', '}':
			return component{}, fmt.Errorf(`braces are not alternatives here: give each path on its own, or write \%c for the character`, c)
		case '\\':
			if s = s[1:]; s == "" {
				return component{}, errors.New(`nothing to escape after the last \`)
			}
			fallthrough
		default:
			_, n := utf8.DecodeRuneInString(s)
			literal = append(literal, s[:n]...)
			s = s[n:]
		}
	}
	if tokens == nil {
		return component{literal: literal}, nil
	}
	if len(literal) > 0 {
		tokens = append(tokens, token{kind: tokenLiteral, literal: literal})
	}
	return component{tokens: tokens}, nil
}

// compileSet compiles what follows the opening bracket of a set and returns
// what follows its end.
func compileSet(s string) (t token, rest string, err error) {
	t = token{kind: tokenSet}
	if s != "" && (s[0] == '!' || s[0] == '^') {
		t.negated = true
		s = s[1:]
	}
	unclosed := errors.New(`[ without ]; write \[ for the character`)
	next := func() (rune, error) {
		s = strings.TrimPrefix(s, `\`)
		if s == "" {
			return 0, unclosed
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		return r, nil
	}
	for first := true; first || !strings.HasPrefix(s, "]"); first = false {
		if strings.HasPrefix(s, "]") {
			return t, "", errors.New(`empty set []; write \[\] for the characters`)
		}
		lo, err := next()
		if err != nil {
			return t, "", err
		}
		hi := lo
		if strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "-]") {
			s = s[1:]
			if hi, err = next(); err != nil {
				return t, "", err
			}
		}
		if hi < lo {
			return t, "", fmt.Errorf("range %c-%c goes backwards", lo, hi)
		}
		t.ranges = append(t.ranges, runeRange{lo, hi})
	}
	return t, s[1:], nil
}

// match reports whether g matches the whole path.
//
// It is the usual matcher for patterns with a star, once over components and
// once over characters: it is enough to go back to the last star, because
// whatever an earlier one could take more, the last one can take as well.
func (g glob) match(path []byte) bool {
	var (
		i, at    int  // next component of g; offset of the next one of path
		backTo   = -1 // component of g after the last **
		backFrom int  // offset in path where it was tried last
	)
	for {
		done := at > len(path) // at is one beyond the slash that ends a component
		switch {
		case i == len(g) && done:
			return true
		case i < len(g) && g[i].anyDepth:
			if i == len(g)-1 {
				return !done
			}
			i++
			backTo, backFrom = i, at
			continue
		case i < len(g) && !done:
			next := componentEnd(path, at)
			if g[i].match(path[at:next]) {
				i, at = i+1, next+1
				continue
			}
		}
		if backTo < 0 || backFrom > len(path) {
			return false
		}
		backFrom = componentEnd(path, backFrom) + 1
		i, at = backTo, backFrom
	}
}

// componentEnd returns the offset of the first slash at or after at, or the
// length of path.
func componentEnd(path []byte, at int) int {
	if n := bytes.IndexByte(path[at:], '/'); n >= 0 {
		return at + n
	}
	return len(path)
}

// match reports whether c matches all of s, which has no slash.
func (c *component) match(s []byte) bool {
	if c.tokens == nil {
		return bytes.Equal(s, c.literal)
	}
	i, backTo := 0, -1
	var back []byte // what is left for the last star to take
	for {
		if i < len(c.tokens) {
			t := &c.tokens[i]
			if t.kind == tokenMany {
				i++
				if i == len(c.tokens) {
					return true
				}
				backTo, back = i, s
				continue
			}
			if n := t.match(s); n > 0 {
				i, s = i+1, s[n:]
				continue
			}
		} else if len(s) == 0 {
			return true
		}
		if backTo < 0 || len(back) == 0 {
			return false
		}
		_, n := utf8.DecodeRune(back)
		back = back[n:]
		i, s = backTo, back
	}
}

// match returns how many bytes t takes from the start of s, 0 if it does not
// match there.
func (t *token) match(s []byte) int {
	if t.kind == tokenLiteral {
		if bytes.HasPrefix(s, t.literal) {
			return len(t.literal)
		}
		return 0
	}
	if len(s) == 0 {
		return 0
	}
	r, n := utf8.DecodeRune(s)
	if t.kind == tokenOne {
		return n
	}
	// A byte that is not UTF-8 decodes as U+FFFD, but is in no set.
	valid := r != utf8.RuneError || n > 1
	in := false
	for _, x := range t.ranges {
		in = in || valid && x.lo <= r && r <= x.hi
	}
	if in != t.negated {
		return n
	}
	return 0
}
