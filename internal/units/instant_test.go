package units

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// berlin returns a location with summer time, +01:00 in winter.
func berlin(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zone data:", err)
	}
	return loc
}

func TestTimesArePeoplesTimes(t *testing.T) {
	loc := berlin(t)
	now := time.Date(2026, 11, 24, 9, 30, 15, 250e6, loc)
	day := func(d, h, m, s, ms int) time.Time { return time.Date(2026, 11, d, h, m, s, ms*1e6, loc) }
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"now", now},
		{"Now", now},
		{"today", day(24, 0, 0, 0, 0)},
		{"yesterday", day(23, 0, 0, 0, 0)},
		{"tomorrow", day(25, 0, 0, 0, 0)},
		{"yesterday 14:30", day(23, 14, 30, 0, 0)},
		{"yesterday at 14:30:05", day(23, 14, 30, 5, 0)},
		{"today 8:00", day(24, 8, 0, 0, 0)},
		{"08:00", day(24, 8, 0, 0, 0)},
		{"08:00:01.5", day(24, 8, 0, 1, 500)},
		{"today 08:00 UTC", day(24, 9, 0, 0, 0)},

		{"10m", before(10 * time.Minute)},
		{"-1h", before(time.Hour)},
		{"- 1h", before(time.Hour)},
		{"+1h", before(-time.Hour)},
		{"1w", before(7 * 24 * time.Hour)},
		{"7d", before(7 * 24 * time.Hour)},
		{"1d12h", before(36 * time.Hour)},
		{"2d2h", before(50 * time.Hour)},
		{"1h30m0s", before(90 * time.Minute)},
		{"1.5h", before(90 * time.Minute)},
		{"0s", now},
		{"250ms", before(250 * time.Millisecond)},
		{"1 hour ago", before(time.Hour)},
		{"an hour ago", before(time.Hour)},
		{"a week ago", before(7 * 24 * time.Hour)},
		{"1 hour", before(time.Hour)},
		{"  2   Days   ago ", before(48 * time.Hour)},
		{"1 hour 30 minutes ago", before(90 * time.Minute)},
		{"1 day, 2 hours and 5 min ago", before(26*time.Hour + 5*time.Minute)},
		{"90 secs ago", before(90 * time.Second)},
		{"10m ago", before(10 * time.Minute)},
		{"-1 day", before(24 * time.Hour)},
		{"1 month ago", time.Date(2026, 10, 24, 9, 30, 15, 250e6, loc)},
		{"2 years ago", time.Date(2024, 11, 24, 9, 30, 15, 250e6, loc)},

		{"2026-11-23", day(23, 0, 0, 0, 0)},
		{"2026-11-23 19:33", day(23, 19, 33, 0, 0)},
		{"2026-11-23 19:33:57", day(23, 19, 33, 57, 0)},
		{"2026-11-23T19:33", day(23, 19, 33, 0, 0)},
		{"2026-11-23t19:33:57", day(23, 19, 33, 57, 0)},
		{"2026-11-23 19:33:57.497", day(23, 19, 33, 57, 497)},
		{"2026-11-23T18:33:57.497Z", day(23, 19, 33, 57, 497)},
		{"2026-11-23T18:33:57z", day(23, 19, 33, 57, 0)},
		{"2026-11-23T19:33:57.497+01:00", day(23, 19, 33, 57, 497)},
		{"2026-11-23T19:33:57.497 01:00", day(23, 19, 33, 57, 497)}, // a + in a URL
		{"2026-11-23 19:33:57 +0100", day(23, 19, 33, 57, 0)},
		{"2026-11-23 13:33 -05", day(23, 19, 33, 0, 0)},
		{"2026-11-24 00:03:57+05:30", day(23, 19, 33, 57, 0)},
		{"2026-11-23 18:33 UTC", day(23, 19, 33, 0, 0)},
		{"2026-11-23 19:33 CET", day(23, 19, 33, 0, 0)},
		{"2026-11-23 20:33 CEST", day(23, 19, 33, 0, 0)},
		{"2026-11-23 19:33 Europe/Berlin", day(23, 19, 33, 0, 0)},
		{"Mon 2026-11-23 19:33:57 CET", day(23, 19, 33, 57, 0)},
		{"2026-11-23 UTC", day(23, 1, 0, 0, 0)},
		{"20261123T183357.497Z", day(23, 19, 33, 57, 497)},
		{"Nov 23 19:33:57", day(23, 19, 33, 57, 0)},
		{"Nov  3 19:33:57", day(3, 19, 33, 57, 0)},
		{"Dec 31 23:59:59", time.Date(2025, 12, 31, 23, 59, 59, 0, loc)},
		{"2026-07-01 12:00", time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)}, // summer

		{"@1795458837", day(23, 19, 33, 57, 0)},
		{"@1795458837.497", day(23, 19, 33, 57, 497)},
		{"@0", time.Unix(0, 0)},
		{"@-1.5", time.Unix(-1, -5e8)},
		{"audit(1795458837.497:12)", day(23, 19, 33, 57, 497)},

		// What a broken clock printed.
		{"+12345-01-02T03:04:05.678Z", time.Date(12345, 1, 2, 3, 4, 5, 678e6, time.UTC)},
		{"-0005-01-02T03:04:05.678Z", time.Date(-5, 1, 2, 3, 4, 5, 678e6, time.UTC)},
	} {
		got, err := ParseTime(c.text, now)
		if err != nil || !got.Equal(c.want) {
			t.Errorf("%q is %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestTimesThatMeanNothingAreRefused(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 30, 15, 0, berlin(t))
	for _, c := range []struct{ text, want string }{
		{"", "is not a time"},
		{" ", "is not a time"},
		{"-", "is not a time"},
		{"soon", "is not a time"},
		{"yesterdaynight", "is not a time"},
		{"ago", "is not a time"},
		{"h", "is not a time"},
		{"1 fortnight ago", "is not a time"},
		{"1h-30m", "is not a time"},
		{"1h+30m", "is not a time"},
		{"--1h", "is not a time"},
		{"+1h ago", "is not a time"},
		{"11/23/2026", "is not a time"},
		{"10", "has no unit"},
		{"1M", "minutes or months"},
		{"1795458837", "begin with @"},
		{"0.5 months ago", "fraction"},
		{"2026-13-01", "does not exist"},
		{"2026-02-29", "does not exist"},
		{"2026-11-23 25:00", "does not exist"},
		{"24:00", "does not exist"},
		{"2026-11-23 19:33 XYZ", "time zone"},
		{"2026-11-23 19:33 +25:00", "does not exist"},
		{"2026-11-23 19:33 ../etc/passwd", "is not a time"},
		{"999999999999999999999h", "too long ago"},
		{"99999999h", "too long ago"},
		{"@99999999999999999999", "out of range"},
		{"\x1b[31m", `"\x1b[31m" is not a time`},
		{strings.Repeat("9", 5000), "has no unit"},
	} {
		got, err := ParseTime(c.text, now)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 400 {
			t.Errorf("%.40q is %v, %v, want an error with %q", c.text, got, err, c.want)
		}
	}
}

// TestTimesThatArePrintedAreRead takes every layout that the program writes a
// time in.
func TestTimesThatArePrintedAreRead(t *testing.T) {
	loc := berlin(t)
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 253402300799999).Draw(t, "ms")).In(loc)
		for _, c := range []struct {
			layout    string
			precision time.Duration
			in        *time.Location
		}{
			{"2006-01-02T15:04:05.000Z07:00", time.Millisecond, loc}, // text lines
			{"2006-01-02T15:04:05.000Z", time.Millisecond, time.UTC}, // JSON
			{"2006-01-02 15:04:05 -07:00", time.Second, loc},
			{"20060102T150405.000Z", time.Millisecond, time.UTC}, // rotated files
			{time.RFC3339, time.Second, loc},
			{time.RFC3339Nano, time.Millisecond, time.UTC},
		} {
			text := at.In(c.in).Format(c.layout)
			got, err := ParseTime(text, at)
			if err != nil || at.Sub(got) < 0 || at.Sub(got) >= c.precision {
				t.Fatalf("%q is %v, %v, want %v", text, got, err, at)
			}
		}
	})
}

func TestSinceIsNotInTheFuture(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 30, 15, 0, time.UTC)
	for _, s := range []string{"+1s", "tomorrow", "09:31", "2026-11-25", "@4000000000"} {
		if got, err := ParseSince(s, now); err == nil || !strings.Contains(err.Error(), "lies in the future: it is now 2026-11-24 09:30:15 +00:00") {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"now", "0s", "-1h", "09:30", "2026-11-24"} {
		if _, err := ParseSince(s, now); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"90000 years ago", "-0005-01-02", "@-9000000000000"} {
		if got, err := ParseSince(s, now); err != nil || got.UnixNano() != math.MinInt64 {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"now", "1 hour ago", "2026-11-23 19:33 CET", "@1795458837.497", "Nov 23 19:33:57", "+1h", "yesterday 8:00Z"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 24, 9, 30, 15, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseTime(s, now); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %q", err)
		}
	})
}
