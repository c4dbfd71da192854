package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Page puts together lines for a person. Whatever others chose must have been
// escaped before it comes to it, as the other functions here do.
type Page struct {
	// Zone is that of times; nil for the local one.
	Zone *time.Location

	// Now is what times are told relative to, in milliseconds since 1970 UTC; 0: to
	// nothing.
	Now int64

	// Width is how many columns a line has at most; 0: any number. Height is how many
	// lines there should be.
	Width, Height int

	// User returns the name of a user, empty where it has none; nil: users are numbers.
	User func(uid uint32) string

	text  []byte
	lines int
}

// Bytes returns all lines.
func (p *Page) Bytes() []byte { return p.text }

// Lines returns how many lines there are.
func (p *Page) Lines() int { return p.lines }

// The columns in which a line goes on that was too long: that of a table behind its
// numbers.
const (
	hanging = 4
	inTable = 10
)

// Line adds a line, over several lines where it is wider than the page.
func (p *Page) Line(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	indent := hanging
	if strings.HasPrefix(line, "     ") {
		indent = inTable
	}
	for _, l := range wrap(line, p.Width, indent) {
		p.text = append(append(p.text, l...), '\n')
		p.lines++
	}
}

// narrow is the width below which nothing is left of a line that is cut.
const narrow = 60

// Narrow reports whether lines are not cut, since nothing would be left of them.
func (p *Page) Narrow() bool { return p.Width > 0 && p.Width < narrow }

// Cut adds a line, cut to the width of the page, but for its end, the id of an event.
// On a narrow page it goes on in the next line instead.
func (p *Page) Cut(line string, id []byte) {
	end := p.ID(id)
	if p.Narrow() {
		p.Line("%s%s", line, end)
		return
	}
	width := p.Width
	if width > 0 {
		width = max(width-Columns(end), width/2)
	}
	short := Fit([]byte(line+"\n"), width)
	p.text = append(append(append(p.text, short[:len(short)-1]...), end...), '\n')
	p.lines++
}

// Try adds lines, unless the page then has more than most. It reports whether it did.
func (p *Page) Try(most int, add func()) bool {
	text, lines := len(p.text), p.lines
	add()
	if p.lines > most {
		p.text, p.lines = p.text[:text], lines
		return false
	}
	return true
}

// ID returns a blank and the id of an event as the end of a line, nothing for none.
func (p *Page) ID(id []byte) string {
	if len(id) == 0 {
		return ""
	}
	return " " + string(ShortID(id, p.Width))
}

// Time returns a moment, in milliseconds since 1970 UTC.
func (p *Page) Time(ms int64) string { return Time(ms, p.Zone) }

// Interval returns the first and the last moment of something.
func (p *Page) Interval(first, last int64) string {
	if first == last {
		return p.Time(first)
	}
	return p.Time(first) + " to " + p.Time(last)
}

// Seen returns when something happened first and last, and how long ago that was. On
// a narrow page it says no more than that.
func (p *Page) Seen(first, last int64) string {
	ago := ""
	if p.Now != 0 && last <= p.Now {
		ago = Span(time.Duration(p.Now-last)*time.Millisecond) + " ago"
	}
	switch {
	case ago == "":
		return p.Interval(first, last)
	case p.Width > 0 && p.Width < roomy && first != last:
		return "last " + ago
	case p.Width > 0 && p.Width < roomy:
		return ago
	}
	return p.Interval(first, last) + " (" + ago + ")"
}

// UserName returns the name of the user with that id, in decimal, or the number.
func (p *Page) UserName(uid []byte) string {
	if n, err := strconv.ParseUint(string(uid), 10, 32); err == nil && p.User != nil {
		if name := p.User(uint32(n)); name != "" {
			return Name(name)
		}
	}
	return "uid " + string(uid)
}
