// Package htmlreport writes a report as one HTML file to hand on.
//
// The page needs nothing but itself: style, script and charts are in it, and its
// Content-Security-Policy permits nothing else, so that it makes no request
// wherever it is opened. Charts are inline SVG made here, so the page says the
// same in print and without scripts; the script only sorts and searches.
//
// # Untrusted text
//
// An attacker chooses paths and names. Every text goes through html/template,
// which escapes it for the place where it stands; markup in it is shown, not
// obeyed. Names stand in bdi elements, so that a direction mark in one cannot
// reorder what is around it; control characters are the caller's to replace
// (package text).
//
// # Why no charting library
//
// A stacked histogram and a band are 150 lines of geometry. A library would add
// a script of 50 KB to every page, and the chart would be gone without it.
package htmlreport
