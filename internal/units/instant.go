package units

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// ParseTime reads a moment as people write it, and as this program prints it:
//
//   - now, today, yesterday and tomorrow, the last three with a time of the day
//     or midnight
//   - how long before now: "10m", "-1h", "1w", "1d12h", "1 hour ago"; "+1h" is
//     later than now
//   - a date and a time: "2026-11-23", "2026-11-23 19:33", with T in place of the
//     blank, with seconds and their fraction, a weekday in front, and a zone
//     behind: Z, UTC, +01:00, +0100, Europe/Berlin or an abbreviation of the
//     local zone. RFC 3339 is among these, as are the names of rotated files.
//   - a time of today: "19:33"
//   - the stamp of syslog, "Nov 23 19:33:57", of the last twelve months
//   - seconds since 1970: "@1795433616.497", and "audit(1795433616.497:12)"
//
// Without a zone the time is in the location of now. Days have 24 hours where
// they are a length; the date of yesterday is that of the calendar. The error is
// in one line, for a user.
func ParseTime(s string, now time.Time) (time.Time, error) {
	p := timeParser{now: now, text: strings.Join(strings.Fields(s), " ")}
	for _, form := range []func() (time.Time, error){p.epoch, p.day, p.date, p.syslog, p.length} {
		t, err := form()
		switch {
		case err == nil:
			return t, nil
		case !errors.Is(err, errOtherForm):
			return time.Time{}, fmt.Errorf("%s %w", text.Quote(s), err)
		}
	}
	return time.Time{}, fmt.Errorf(`%s is not a time; write how long ago ("10m", "7d", "1 hour ago"), now, today, yesterday, a date ("2026-11-23", "2026-11-23 19:33", "2026-11-23T19:33:57+01:00") or seconds since 1970 ("@1795433616")`, text.Quote(s))
}

// ParseSince is [ParseTime] for the begin of what happened: it refuses what lies
// in the future, since nothing would be found and that would look like good news.
// What lies before the year 1678 is moved there: nanoseconds since 1970 in an int64
// begin then.
func ParseSince(s string, now time.Time) (time.Time, error) {
	t, err := ParseTime(s, now)
	if err == nil && t.After(now) {
		return time.Time{}, fmt.Errorf("%s lies in the future: it is now %s", text.Quote(s), now.Format("2006-01-02 15:04:05 -07:00"))
	}
	if earliest := time.Unix(0, math.MinInt64); err == nil && t.Before(earliest) {
		return earliest, nil
	}
	return t, err
}

// errOtherForm says that a text is not of the form that was tried.
var errOtherForm = errors.New("other form")

type timeParser struct {
	now  time.Time
	text string // with single blanks
}

// find returns what the groups of an anchored regular expression hold, nil if it
// does not match. The case of letters does not matter.
func (p *timeParser) find(expression string) []string {
	return regexp.MustCompile(`(?i)^(?:` + expression + `)$`).FindStringSubmatch(p.text)
}

// epoch reads seconds since 1970.
func (p *timeParser) epoch() (time.Time, error) {
	m := p.find(`@(-?\d+)(?:[.,](\d{1,9}))?`)
	if m == nil {
		m = p.find(`audit\((\d+)\.(\d{1,9}):\d+\):?`)
	}
	if m == nil {
		if p.find(`\d{9,}(\.\d+)?`) != nil {
			return time.Time{}, errors.New("has no unit; seconds since 1970 begin with @")
		}
		return time.Time{}, errOtherForm
	}
	seconds, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || seconds > math.MaxInt64/1000 || seconds < math.MinInt64/1000 {
		return time.Time{}, errors.New("is out of range")
	}
	nanoseconds := fraction(m[2])
	if strings.HasPrefix(m[1], "-") {
		nanoseconds = -nanoseconds
	}
	return time.Unix(seconds, int64(nanoseconds)).In(p.now.Location()), nil
}

// The parts of a date and time. A + that was not escaped in a URL is a blank.
const (
	clockForm = `(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?`
	zoneForm  = `(?: ?(z|[-+ ]\d\d(?::?\d\d)?|[a-z][a-z0-9_+/-]*))?`
)

// day reads a day that is named by today's date, with or without a time.
func (p *timeParser) day() (time.Time, error) {
	if p.find("now") != nil {
		return p.now, nil
	}
	m := p.find(`(?:(today|yesterday|tomorrow)(?:$|,? (?:at )?))?(?:` + clockForm + zoneForm + `)?`)
	if m == nil || p.text == "" {
		return time.Time{}, errOtherForm
	}
	days := map[string]int{"yesterday": -1, "tomorrow": 1}[strings.ToLower(m[1])]
	return p.at(func(loc *time.Location) (int, time.Month, int) {
		return p.now.In(loc).AddDate(0, 0, days).Date()
	}, m[2:6], m[6])
}

// date reads a date, with or without a time.
func (p *timeParser) date() (time.Time, error) {
	m := p.find(`(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?([-+]?\d{4,9})-(\d\d)-(\d\d)(?:[t ]` + clockForm + `)?` + zoneForm)
	if m == nil {
		m = p.find(`(\d{4})(\d\d)(\d\d)t(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?` + zoneForm)
	}
	if m == nil {
		return time.Time{}, errOtherForm
	}
	y, month, d := atoi(m[1]), time.Month(atoi(m[2])), atoi(m[3])
	if _, gotMonth, gotDay := time.Date(y, month, d, 0, 0, 0, 0, time.UTC).Date(); gotMonth != month || gotDay != d {
		return time.Time{}, errors.New("has a date that does not exist")
	}
	return p.at(func(*time.Location) (int, time.Month, int) { return y, month, d }, m[4:8], m[8])
}

// syslog reads a time without a year, as RFC 3164 has it.
func (p *timeParser) syslog() (time.Time, error) {
	t, err := time.ParseInLocation("Jan 2 15:04:05", p.text, p.now.Location())
	if err != nil {
		return t, errOtherForm
	}
	y := p.now.Year()
	in := func(y int) time.Time {
		return time.Date(y, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	}
	// A clock may be a little ahead; a whole day is the year before.
	if in(y).After(p.now.AddDate(0, 0, 1)) {
		y--
	}
	return in(y), nil
}

// at returns the moment of a clock (hours, minutes, seconds, fraction) on the
// date that it is in the zone.
func (p *timeParser) at(date func(*time.Location) (int, time.Month, int), clock []string, zone string) (time.Time, error) {
	hour, minute, second := atoi(clock[0]), atoi(clock[1]), atoi(clock[2])
	if hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, errors.New("has a time of the day that does not exist")
	}
	in := func(loc *time.Location) time.Time {
		y, m, d := date(loc)
		return time.Date(y, m, d, hour, minute, second, fraction(clock[3]), loc)
	}
	switch {
	case zone == "":
		return in(p.now.Location()), nil
	case strings.EqualFold(zone, "Z"), strings.EqualFold(zone, "UTC"), strings.EqualFold(zone, "GMT"):
		return in(time.UTC), nil
	case strings.ContainsAny(zone[:1], "+- "):
		digits := strings.ReplaceAll(zone[1:], ":", "") + "00"
		hours, minutes := atoi(digits[:2]), atoi(digits[2:4])
		if hours > 23 || minutes > 59 {
			return time.Time{}, errors.New("has an offset from UTC that does not exist")
		}
		offset := (hours*60 + minutes) * 60
		if zone[0] == '-' {
			offset = -offset
		}
		return in(time.FixedZone("", offset)), nil
	}
	// The abbreviations of other zones are ambiguous (IST, CST).
	local := in(p.now.Location())
	for _, t := range []time.Time{local, local.AddDate(0, 6, 0)} {
		if name, offset := t.Zone(); strings.EqualFold(name, zone) {
			return in(time.FixedZone(name, offset)), nil
		}
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || strings.EqualFold(zone, "local") {
		return time.Time{}, fmt.Errorf("has a time zone that is not known here, %q; write it as +01:00 or Europe/Berlin", zone)
	}
	return in(loc), nil
}

// length reads how long ago it was.
func (p *timeParser) length() (time.Time, error) {
	rest, sign := p.text, -1
	switch {
	case strings.HasPrefix(rest, "-"):
		rest = strings.TrimPrefix(rest[1:], " ")
	case strings.HasPrefix(rest, "+"):
		rest, sign = strings.TrimPrefix(rest[1:], " "), 1
	}
	if n := len(rest) - len(" ago"); n >= 0 && strings.EqualFold(rest[n:], " ago") && sign < 0 {
		rest = rest[:n]
	}
	if rest == "" {
		return time.Time{}, errOtherForm
	}
	t := p.now
	part := regexp.MustCompile(`^(?:and )?(?:(\d+(?:\.\d+)?)|an?) ?([a-zA-Zµμ]+),? ?`)
	for rest != "" {
		m := part.FindStringSubmatch(rest)
		if m == nil {
			if _, err := strconv.ParseFloat(rest, 64); err == nil {
				return t, errors.New("has no unit, such as 10m or 7d")
			}
			return t, errOtherForm
		}
		rest = rest[len(m[0]):]
		if m[1] == "" {
			m[1] = "1"
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return t, errOtherForm
		}
		unit, years, months, known := timeUnit(m[2])
		switch {
		case m[2] == "M":
			return t, errors.New("could mean minutes or months; write m or months")
		case !known:
			return t, errOtherForm
		case unit != 0 && n > float64(math.MaxInt64/unit), n > 100_000 && unit == 0:
			return t, errors.New("is too long ago")
		case unit != 0 && n == math.Trunc(n):
			t = t.Add(time.Duration(sign) * time.Duration(n) * unit)
		case unit != 0:
			t = t.Add(time.Duration(sign) * time.Duration(n*float64(unit)))
		case n != math.Trunc(n):
			return t, errors.New("has a fraction of a month or year; write it in days")
		default:
			t = t.AddDate(sign*years*int(n), sign*months*int(n), 0)
		}
	}
	return t, nil
}

// timeUnit returns how long a unit is: a duration, or years or months of the
// calendar.
func timeUnit(name string) (unit time.Duration, years, months int, known bool) {
	lower := strings.ToLower(name)
	if len(lower) > 3 {
		lower = strings.TrimSuffix(lower, "s")
	}
	switch lower {
	case "ns":
		unit = time.Nanosecond
	case "us", "µs", "μs":
		unit = time.Microsecond
	case "ms", "msec", "millisecond":
		unit = time.Millisecond
	case "s", "sec", "second":
		unit = time.Second
	case "m", "min", "minute":
		unit = time.Minute
	case "h", "hr", "hrs", "hour":
		unit = time.Hour
	case "d", "day":
		unit = 24 * time.Hour
	case "w", "wk", "wks", "week":
		unit = 7 * 24 * time.Hour
	case "mo", "month":
		months = 1
	case "y", "yr", "yrs", "year":
		years = 1
	default:
		return 0, 0, 0, false
	}
	return unit, years, months, true
}

// atoi returns the number of a text that has only digits and a sign; without any
// it is 0.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

// fraction returns the digits behind the point of seconds in nanoseconds.
func fraction(digits string) int { return atoi((digits + "000000000")[:9]) }
