package htmlreport

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"
)

// The size of the charts in the units of their view box. On a page they are as
// wide as it is.
const (
	chartWidth, chartHeight = 960, 240
	plotLeft, plotRight     = 56, 952
	plotTop, plotBottom     = 10, 206
	shownVerdicts           = 3 // of VerdictClasses, without allowed
	letterWidth             = 7 // at most, of the text in a span
)

// chart is the histogram, ready for its template.
type chart struct {
	SVG     template.HTML
	Legend  []Count
	Columns []string
	Rows    []row
}

type row struct {
	From   time.Time
	Counts []uint64
}

// plot is what the template of the histogram sees.
type plot struct {
	Label string
	Ticks []tick // of the counts
	Times []tick
	Bars  []stack
	Gaps  []region
}

type tick struct {
	At   float64
	Text string
	Side string // text-anchor
}

type stack struct {
	Title string
	Parts []region
}

type region struct {
	Class      string
	X, Y, W, H float64
	Title      string
	Text       string
}

// newChart returns the chart of accesses over time; nil where no event has a
// time.
func newChart(t *template.Template, d *Data, zone *time.Location) (*chart, error) {
	h := &d.Histogram
	if len(h.Bins) == 0 || h.Width <= 0 {
		return nil, nil
	}
	c := &chart{}
	var sums [len(VerdictClasses)]uint64
	highest := uint64(0)
	for i, bin := range h.Bins {
		sum := uint64(0)
		for v, n := range bin {
			sums[v] += n
			if v < shownVerdicts {
				sum += n
			}
		}
		highest = max(highest, sum)
		c.Rows = append(c.Rows, row{h.Start.Add(time.Duration(i) * h.Width), bin[:]})
	}
	for v, class := range VerdictClasses {
		c.Columns = append(c.Columns, words(class))
		if v < shownVerdicts && sums[v] > 0 {
			c.Legend = append(c.Legend, Count{Label: words(class), Class: class})
		}
	}
	if len(d.Gaps) > 0 {
		c.Legend = append(c.Legend, Count{Label: "events lost", Class: "gap"})
	}
	p := plot{
		Label: fmt.Sprintf("Denials over time: %d bars of %s; the highest has %d. %d times with losses.", len(h.Bins), h.Width, highest, len(d.Gaps)),
		Times: timeTicks(h.Start, h.End(), zone),
	}
	top := ceiling(highest)
	for _, n := range [...]uint64{0, top / 2, top} {
		p.Ticks = append(p.Ticks, tick{At: height(n, top), Text: number(n)})
	}
	for i, bin := range h.Bins {
		if s := newStack(h, i, bin, top, zone); len(s.Parts) > 0 {
			p.Bars = append(p.Bars, s)
		}
	}
	for _, g := range d.Gaps {
		if r, ok := between(h.Start, h.End(), g.From, g.Until, 4); ok {
			r.Y, r.H, r.Title = plotTop, plotBottom-plotTop, g.Text
			p.Gaps = append(p.Gaps, r)
		}
	}
	var err error
	c.SVG, err = render(t, "histogram", &p)
	return c, err
}

// newStack returns the bar of one bin.
func newStack(h *Histogram, i int, bin [len(VerdictClasses)]uint64, top uint64, zone *time.Location) stack {
	from := h.Start.Add(time.Duration(i) * h.Width)
	wide := (plotRight - plotLeft) / float64(len(h.Bins))
	s := stack{Title: from.In(zone).Format("2006-01-02 15:04:05-07:00")}
	sum := uint64(0)
	for v, n := range bin[:shownVerdicts] {
		if n == 0 {
			continue
		}
		s.Title += fmt.Sprintf(", %s: %s", words(VerdictClasses[v]), number(n))
		above := height(sum+n, top)
		s.Parts = append(s.Parts, region{
			Class: VerdictClasses[v],
			X:     round(plotLeft + float64(i)*wide + wide*0.08), W: round(wide * 0.84),
			Y: above, H: round(height(sum, top) - above),
		})
		sum += n
	}
	return s
}

// newBand returns the spans of policies and modes; empty where there are none.
func newBand(t *template.Template, d *Data, zone *time.Location) (template.HTML, error) {
	if len(d.Policies) == 0 {
		return "", nil
	}
	start, end := d.Policies[0].From, d.Policies[len(d.Policies)-1].Until
	if len(d.Histogram.Bins) > 0 { // the same scale as above
		start, end = d.Histogram.Start, d.Histogram.End()
	}
	p := plot{Times: timeTicks(start, end, zone)}
	var label []string
	for _, s := range d.Policies {
		r, ok := between(start, end, s.From, s.Until, 2)
		if !ok {
			continue
		}
		text := s.Policy + ", " + s.Mode
		r.Class, r.Y, r.H, r.Title = s.Mode, 4, 28, text+" from "+s.From.In(zone).Format("2006-01-02 15:04:05-07:00")
		r.Text = fitting(text, r.W)
		p.Bars = append(p.Bars, stack{Title: r.Title, Parts: []region{r}})
		label = append(label, r.Title)
	}
	p.Label = "What was in force: " + strings.Join(label, "; ")
	return render(t, "band", &p)
}

// fitting returns text if it fits into a width, or what fits of it.
func fitting(text string, width float64) string {
	room := int(width/letterWidth) - 1
	if utf8.RuneCountInString(text) <= room {
		return text
	}
	if room < 4 {
		return ""
	}
	return string([]rune(text)[:room-1]) + "\u2026"
}

// between places a time on the x axis, at least as wide as least.
func between(start, end, from, until time.Time, least float64) (region, bool) {
	if until.Before(start) || from.After(end) || !end.After(start) {
		return region{}, false
	}
	at := func(t time.Time) float64 {
		share := float64(t.Sub(start)) / float64(end.Sub(start))
		return plotLeft + min(max(share, 0), 1)*(plotRight-plotLeft)
	}
	x, w := at(from), at(until)-at(from)
	if w < least {
		x, w = min(max(x-least/2, plotLeft), plotRight-least), least
	}
	return region{X: round(x), W: round(w)}, true
}

// timeTicks labels the two ends and the middle of the x axis.
func timeTicks(start, end time.Time, zone *time.Location) []tick {
	const layout = "2006-01-02 15:04:05"
	middle := start.Add(end.Sub(start) / 2)
	return []tick{
		{plotLeft, start.In(zone).Format(layout), "start"},
		{(plotLeft + plotRight) / 2, middle.In(zone).Format(layout), "middle"},
		{plotRight, end.In(zone).Format(layout), "end"},
	}
}

// height is the y of n on an axis up to top.
func height(n, top uint64) float64 {
	return round(plotBottom - float64(n)/float64(top)*(plotBottom-plotTop))
}

// ceiling returns the least of 2, 4, 10, 20, 40, 100 ... that is not below n.
func ceiling(n uint64) uint64 {
	top, factors := uint64(2), [...]uint64{2, 0, 2}
	for i := 0; top < n; i = (i + 1) % 3 {
		next := top * factors[i]
		if factors[i] == 0 {
			next = top / 2 * 5 // 4 to 10
		}
		if next < top {
			return n
		}
		top = next
	}
	return top
}

func round(f float64) float64 { return float64(int(f*100+0.5)) / 100 }

func render(t *template.Template, name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	err := t.ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err //nolint:gosec // html/template has escaped it
}
