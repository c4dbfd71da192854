package match

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGlobMatchesPaths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		glob string
		want []string
		not  []string
	}{
		{"/tmp/build/**", []string{"/tmp/build/a", "/tmp/build/a/b", "/tmp/build/.x"}, []string{"/tmp/build", "/tmp/builds/a", "/x/tmp/build/a", ""}},
		{"/usr/**/*.so", []string{"/usr/a.so", "/usr/lib/x/a.so", "/usr/.so"}, []string{"/usr/a.so.1", "/a.so", "/usr/lib/a.so/b"}},
		{"**", []string{"/", "/a", "/a/b", "<too_long>", ""}, nil},
		{"**/b/*", []string{"/b/c", "/a/b/c", "/b/b/b"}, []string{"/b", "/b/c/d", "/a/bb/c"}},
		{"/a/**/b/**/c", []string{"/a/b/c", "/a/b/b/c/c", "/a/x/b/y/z/c"}, []string{"/a/c", "/a/b", "/a/c/b"}},
		{"/**/a/**/**", []string{"/a/b", "/x/a/b/c"}, []string{"/a", "/x/a"}},
		{"/*", []string{"/", "/a"}, []string{"/a/b"}},
		{"/*a*b*c", []string{"/abc", "/aabbcc", "/xaxbxc"}, []string{"/ab", "/abcd", "/a/b/c"}},
		{"/?", []string{"/a", "/é", "/\xff"}, []string{"/", "/ab", "/\xc3\xa9\xff"}},
		{"/[a-cx]", []string{"/a", "/c", "/x"}, []string{"/d", "/", "/ab"}},
		{"/[!a-c]", []string{"/d", "/é", "/\xff"}, []string{"/a", "/"}},
		{"/[^é]", []string{"/e"}, []string{"/é"}},
		{`/[\]-]`, []string{"/]", "/-"}, []string{`/\`, "/a"}},
		{"/[�]", []string{"/�"}, []string{"/\xff"}},
		{`/\*\{`, []string{"/*{"}, []string{"/a{"}},
		{`/\é`, []string{"/é"}, nil},
		{"/tmp/a*", []string{"/tmp/a", "/tmp/a (deleted)"}, nil},
		{"<too_long>", []string{"<too_long>"}, []string{"/<too_long>"}},
		{"/", []string{"/"}, []string{"/a", ""}},
	}
	for _, tt := range tests {
		g, err := compileGlob(tt.glob)
		if err != nil {
			t.Errorf("%s: %v", tt.glob, err)
			continue
		}
		for _, p := range tt.want {
			if !g.match([]byte(p)) {
				t.Errorf("%s, %q: got no match, want one", tt.glob, p)
			}
		}
		for _, p := range tt.not {
			if g.match([]byte(p)) {
				t.Errorf("%s, %q: got a match, want none", tt.glob, p)
			}
		}
	}
}

// The globs that make a matcher with plain backtracking run for years.
func TestGlobDoesNotBacktrackWithoutBound(t *testing.T) {
	t.Parallel()
	tests := []struct{ glob, path string }{
		{"/" + strings.Repeat("*a", 500) + "b", "/" + strings.Repeat("a", 4000)},
		{"/" + strings.Repeat("**/a/", 200) + "b", strings.Repeat("/a", 2000)},
		{"/" + strings.Repeat("**/*a*a*/", 100) + "b", strings.Repeat("/aaa", 1000)},
	}
	for _, tt := range tests {
		g, err := compileGlob(tt.glob)
		if err != nil {
			t.Fatal(err)
		}
		if g.match([]byte(tt.path)) {
			t.Errorf("%.20s...: got a match, want none", tt.glob)
		}
	}
}

func FuzzGlobAgreesWithSlowOne(f *testing.F) {
	f.Add("/tmp/build/**", []byte("/tmp/build/a"))
	f.Add("/**/*a[b-d]?/**/x", []byte("/1/aabc/2/x"))
	f.Add(`**/[!\]]*`, []byte("/a/\xff\xc3\xa9"))
	f.Add("/*?é*", []byte("/\xc3\xc3\xa9"))
	f.Fuzz(func(t *testing.T, pattern string, path []byte) {
		if len(pattern) > 24 || len(path) > 24 {
			return // the slow one takes exponential time
		}
		g, err := compileGlob(pattern)
		if err != nil {
			return
		}
		if got, want := g.match(path), slowMatch(pattern, path); got != want {
			t.Errorf("%q, %q: got %v, want %v", pattern, path, got, want)
		}
	})
}

// slowMatch reads the pattern anew at each step and tries everything.
func slowMatch(pattern string, path []byte) bool {
	return slowComponents(strings.Split(pattern, "/"), splitCharacters(path))
}

// splitCharacters returns the components of path as lists of characters; a byte
// that is not UTF-8 is -1-b.
func splitCharacters(path []byte) [][]rune {
	components := [][]rune{{}}
	for len(path) > 0 {
		r, n := utf8.DecodeRune(path)
		if r == utf8.RuneError && n == 1 {
			r = -1 - rune(path[0])
		}
		path = path[n:]
		if r == '/' {
			components = append(components, []rune{})
			continue
		}
		last := len(components) - 1
		components[last] = append(components[last], r)
	}
	return components
}

func slowComponents(pattern []string, path [][]rune) bool {
	if len(pattern) == 0 {
		return len(path) == 0
	}
	if pattern[0] == "**" {
		for len(pattern) > 1 && pattern[1] == "**" {
			pattern = pattern[1:]
		}
		if len(pattern) == 1 {
			return len(path) > 0
		}
		for i := range len(path) + 1 {
			if slowComponents(pattern[1:], path[i:]) {
				return true
			}
		}
		return false
	}
	return len(path) > 0 && slowComponent([]rune(pattern[0]), path[0]) && slowComponents(pattern[1:], path[1:])
}

func slowComponent(pattern, s []rune) bool {
	if len(pattern) == 0 {
		return len(s) == 0
	}
	switch pattern[0] {
	case '*':
		return slowComponent(pattern[1:], s) || len(s) > 0 && slowComponent(pattern, s[1:])
	case '?':
		return len(s) > 0 && slowComponent(pattern[1:], s[1:])
	case '[':
		if len(s) == 0 {
			return false
		}
		i, negated, in := 1, false, false
		if pattern[i] == '!' || pattern[i] == '^' {
			negated = true
			i++
		}
		one := func() rune {
			if pattern[i] == '\\' {
				i++
			}
			i++
			return pattern[i-1]
		}
		for pattern[i] != ']' {
			lo := one()
			hi := lo
			if pattern[i] == '-' && pattern[i+1] != ']' {
				i++
				hi = one()
			}
			in = in || lo <= s[0] && s[0] <= hi
		}
		return in != negated && slowComponent(pattern[i+1:], s[1:])
	case '\\':
		pattern = pattern[1:]
	}
	return len(s) > 0 && s[0] == pattern[0] && slowComponent(pattern[1:], s[1:])
}
