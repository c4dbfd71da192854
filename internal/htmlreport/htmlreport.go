package htmlreport

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"
)

var (
	//go:embed page.html
	pageText string
	//go:embed chart.html
	chartText string
	//go:embed page.css
	style string
	//go:embed page.js
	script string
)

// page is parsed at the first use: no other command needs it.
func page(zone *time.Location) (*template.Template, error) {
	t := template.New("page").Funcs(template.FuncMap{
		"number": number,
		"stamp":  func(t time.Time) template.HTML { return stamp(t, zone) },
		"millis": func(t time.Time) int64 {
			if t.IsZero() {
				return 0
			}
			return t.UnixMilli()
		},
		"more":  func(all, shown int) int { return all - shown },
		"words": words,
		"rank":  rank,
	})
	t, err := t.Parse(pageText)
	if err != nil {
		return nil, err
	}
	return t.New("chart").Parse(chartText)
}

// view is what the template sees: the data, and what is computed from them.
type view struct {
	*Data
	Policy string // Content-Security-Policy
	Style  template.CSS
	Script template.JS
	Chart  *chart
	Band   template.HTML
	Tops   []topView
}

// Write writes the page of d. Times are shown in zone, with their offset.
func Write(w io.Writer, d *Data, zone *time.Location) error {
	t, err := page(zone)
	if err != nil {
		return err
	}
	v := view{
		Data:   d,
		Policy: contentSecurityPolicy(),
		Style:  template.CSS(style), //nolint:gosec // our own file
		Script: template.JS(script), //nolint:gosec // our own file
	}
	if v.Chart, err = newChart(t, d, zone); err != nil {
		return err
	}
	if v.Band, err = newBand(t, d, zone); err != nil {
		return err
	}
	for i := range d.Tops {
		v.Tops = append(v.Tops, newTop(&d.Tops[i]))
	}
	return t.Lookup("page").Execute(w, &v)
}

// contentSecurityPolicy permits the one style and the one script of the page, by
// their hashes, and nothing else: no request, no other script, no form, no frame.
func contentSecurityPolicy() string {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) + "; base-uri 'none'; form-action 'none'"
}

// stamp is a time to the second, with its offset: as --since takes it.
func stamp(t time.Time, zone *time.Location) template.HTML {
	t = t.In(zone)
	// Digits and signs only.
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `">` + t.Format("2006-01-02 15:04:05-07:00") + `</time>`) //nolint:gosec // no input in it
}

// number groups the digits of n by three with narrow blanks, which nobody takes
// for a decimal sign.
func number(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// words is a verdict as people say it.
func words(verdict string) string {
	switch verdict {
	case "would_deny":
		return "would be denied"
	case "unknown":
		return "mode unknown"
	}
	return verdict
}

// rank orders verdicts, the worst highest.
func rank(verdict string) int {
	for i, class := range VerdictClasses {
		if class == verdict {
			return len(VerdictClasses) - i
		}
	}
	return 0
}

// topView is a [Top] with the share of each item in the most frequent one.
type topView struct {
	Title string
	Bars  []bar
	Rest  uint64
}

type bar struct {
	Count
	Percent int
}

func newTop(t *Top) topView {
	v := topView{Title: t.Title, Rest: t.Rest}
	most := uint64(1)
	for _, c := range t.Items {
		most = max(most, c.N)
	}
	for _, c := range t.Items {
		v.Bars = append(v.Bars, bar{c, int(float64(c.N) / float64(most) * 100)})
	}
	return v
}
