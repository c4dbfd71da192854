package text

import (
	"fmt"
	"time"
)

// Page puts together lines for a person. Whatever others chose must have been
// escaped before it comes to it, as the other functions here do.
type Page struct {
	// Zone is that of times; nil for the local one.
	Zone *time.Location

	text  []byte
	lines int
}

// NewPage returns a page that appends to dst, with times of zone.
func NewPage(dst []byte, zone *time.Location) *Page { return &Page{text: dst, Zone: zone} }

// Bytes returns what was given to NewPage and all lines.
func (p *Page) Bytes() []byte { return p.text }

// Lines returns how many lines there are.
func (p *Page) Lines() int { return p.lines }

// Line adds a line.
func (p *Page) Line(text string, args ...any) {
	p.text = append(fmt.Appendf(p.text, text, args...), '\n')
	p.lines++
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
