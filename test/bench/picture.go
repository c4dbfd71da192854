package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// curve is how something grows with something else. It is drawn as a picture
// with logarithmic axes, where what grows in proportion is a straight line of 45
// degrees.
type curve struct {
	name string // of the picture, without .svg
	x, y string // what the axes say
	at   []point
}

type point struct{ x, y float64 }

// The picture of a curve.
const (
	pictureWidth, pictureHeight     = 640, 320
	left, right, topEdge, lowerEdge = 70, 620, 20, 270
)

// svg draws the curve, with a point for each measurement and its value.
func (c *curve) svg() string {
	lowX, highX := decades(c.at, func(p point) float64 { return p.x })
	lowY, highY := decades(c.at, func(p point) float64 { return p.y })
	px := func(x float64) float64 { return left + (math.Log10(x)-lowX)/(highX-lowX)*(right-left) }
	py := func(y float64) float64 { return lowerEdge - (math.Log10(y)-lowY)/(highY-lowY)*(lowerEdge-topEdge) }
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img"><title>%s by %s</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n",
		pictureWidth, pictureHeight, html.EscapeString(c.y), html.EscapeString(c.x))
	for d := lowX; d <= highX; d++ {
		x := px(math.Pow(10, d))
		fmt.Fprintf(&s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#555">%g</text>`+"\n", x, topEdge, x, lowerEdge, x, lowerEdge+16, math.Pow(10, d))
	}
	for d := lowY; d <= highY; d++ {
		y := py(math.Pow(10, d))
		fmt.Fprintf(&s, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%g</text>`+"\n", left, y, right, y, left-6, y+4, math.Pow(10, d))
	}
	var line []string
	for _, p := range c.at {
		line = append(line, fmt.Sprintf("%.1f,%.1f", px(p.x), py(p.y)))
	}
	fmt.Fprintf(&s, `<polyline points="%s" fill="none" stroke="#0b57b0" stroke-width="2"/>`+"\n", strings.Join(line, " "))
	for _, p := range c.at {
		fmt.Fprintf(&s, `<circle cx="%.1f" cy="%.1f" r="4" fill="#0b57b0"/><text x="%.1f" y="%.1f" text-anchor="middle" fill="#111">%s</text>`+"\n", px(p.x), py(p.y), px(p.x), py(p.y)-9, figure(p.y))
	}
	fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="middle" fill="#111">%s</text>`+"\n", (left+right)/2, pictureHeight-10, html.EscapeString(c.x))
	fmt.Fprintf(&s, `<text x="14" y="%d" text-anchor="middle" fill="#111" transform="rotate(-90 14 %d)">%s</text>`+"\n</svg>\n", (topEdge+lowerEdge)/2, (topEdge+lowerEdge)/2, html.EscapeString(c.y))
	return s.String()
}

// figure writes a value with three digits.
func figure(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// decades returns the powers of ten around all values.
func decades(points []point, of func(point) float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, p := range points {
		v := math.Log10(of(p))
		low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
	}
	return low, max(high, low+1)
}

// draw writes a picture of each curve into a folder.
func (b *bench) draw(dir string) error {
	for _, c := range b.curves {
		if err := os.WriteFile(filepath.Join(dir, c.name+".svg"), []byte(c.svg()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
