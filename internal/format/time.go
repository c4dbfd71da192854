package format

import "time"

// year10000 is the first millisecond that RFC 3339 cannot write.
const year10000 = 253402300800000

// clock writes instants. It remembers the second of the last one, as events of
// one second come together. The zero value is ready to use.
type clock struct {
	second uint64 // since 1970, plus 1; 0: none yet
	text   [len("2006-01-02T15:04:05.")]byte
}

// append appends ms, milliseconds since 1970, in UTC as RFC 3339 writes it.
// Outside the years 1970 to 9999 a broken clock or a broken record spoke; what it
// said is kept: beyond 9999 with a sign and as many digits as it takes, as ISO
// 8601 extends the form ("+12345-01-02T03:04:05.678Z"), before 0 with a minus
// sign.
func (c *clock) append(dst []byte, ms int64) []byte {
	if ms < 0 || ms >= year10000 {
		t := time.UnixMilli(ms).UTC()
		if t.Year() > 9999 {
			dst = append(dst, '+')
		}
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	second, milli := uint64(ms)/1000, uint64(ms)%1000
	if c.second != second+1 {
		c.second = second + 1
		c.text = textOf(second)
	}
	return append(append(dst, c.text[:]...),
		byte('0'+milli/100), tens[milli%100], ones[milli%100], 'Z')
}

// textOf returns a second before the year 10000 with the point behind it.
func textOf(second uint64) [len("2006-01-02T15:04:05.")]byte {
	y, m, d := civil(uint32(second / 86400))
	t := uint32(second % 86400)
	s, t := t%60, t/60
	min, h := t%60, t/60
	return [...]byte{
		tens[y/100], ones[y/100], tens[y%100], ones[y%100], '-',
		tens[m], ones[m], '-', tens[d], ones[d], 'T',
		tens[h], ones[h], ':', tens[min], ones[min], ':', tens[s], ones[s], '.',
	}
}

// The two digits of a number below 100.
const (
	tens = "0000000000111111111122222222223333333333444444444455555555556666666666777777777788888888889999999999"
	ones = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
)

// civil returns the date of a day counted from 1970-01-01 in the Gregorian
// calendar. It counts in years that begin in March, so that the leap day is
// the last, and in eras of 400 years, which all have 146097 days (Howard
// Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
// package time does the same for more years and time zones, and takes longer.
func civil(day uint32) (y, m, d uint32) {
	day += 719468 // since 0000-03-01
	era, doe := day/146097, day%146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153 // month, 0 is March
	y, m, d = era*400+yoe, mp+3, doy-(153*mp+2)/5+1
	if m > 12 {
		y, m = y+1, m-12
	}
	return y, m, d
}
