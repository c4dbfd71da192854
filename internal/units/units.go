package units

import (
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/text"
)

// Size is a number of bytes.
type Size int64

// The units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

type sizeUnit struct {
	name string
	size Size
}

var sizeUnits = [...]sizeUnit{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}}

// String returns the size with the largest unit that divides it, as
// [ParseSize] reads it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Short returns the size for a person: with a unit, and one digit behind the
// point.
func (s Size) Short() string {
	for _, u := range sizeUnits {
		if s >= u.size {
			return strings.TrimSuffix(strconv.FormatFloat(float64(s)/float64(u.size), 'f', 1, 64), ".0") + u.name
		}
	}
	return fmt.Sprintf("%d bytes", s)
}

// ParseSize reads a whole number of bytes, or of one of the units KiB, MiB, GiB
// and TiB: "64MiB". Decimal units are refused, because people mean either.
func ParseSize(s string) (Size, error) {
	suffix := strings.TrimLeft(s, "0123456789")
	number := s[:len(s)-len(suffix)]
	if number == "" {
		return 0, fmt.Errorf("%s is not a size; write a whole number and a unit, as in 64MiB", text.Quote(s))
	}
	unit := Size(1)
	if suffix != "" {
		i := slices.IndexFunc(sizeUnits[:], func(u sizeUnit) bool { return u.name[0] == strings.ToUpper(suffix[:1])[0] })
		switch {
		case i < 0:
			return 0, fmt.Errorf("%s is not a size; the units are KiB, MiB, GiB and TiB, as in 64MiB", text.Quote(s))
		case suffix != sizeUnits[i].name:
			return 0, fmt.Errorf("%s is not a size; did you mean %q?", text.Quote(s), number+sizeUnits[i].name)
		}
		unit = sizeUnits[i].size
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, fmt.Errorf("%s is too large", text.Quote(s))
	}
	return Size(n) * unit, nil
}

// ParseDuration reads a duration as [time.ParseDuration] does, and days in
// front of it: "90s", "24h", "7d", "1d12h". A day has 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	rest, sign := s, time.Duration(1)
	if strings.HasPrefix(rest, "-") {
		rest, sign = rest[1:], -1
	}
	var days time.Duration
	if number, after, ok := strings.Cut(rest, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 63)
		if err != nil {
			return 0, durationError(s)
		}
		if n > uint64(math.MaxInt64/(24*time.Hour)) {
			return 0, fmt.Errorf("%s is too long", text.Quote(s))
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return sign * days, nil
		}
		if rest[0] == '-' || rest[0] == '+' {
			return 0, durationError(s)
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 {
		return 0, durationError(s)
	}
	if d > math.MaxInt64-days {
		return 0, fmt.Errorf("%s is too long", text.Quote(s))
	}
	return sign * (days + d), nil
}

// FormatDuration is the inverse of [ParseDuration] for whole days, hours,
// minutes or seconds.
func FormatDuration(d time.Duration) string {
	for _, u := range [...]struct {
		name     string
		duration time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d != 0 && d%u.duration == 0 {
			return strconv.FormatInt(int64(d/u.duration), 10) + u.name
		}
	}
	return d.String()
}

func durationError(s string) error {
	if _, err := strconv.ParseUint(s, 10, 32); err == nil {
		return fmt.Errorf("%s has no unit; did you mean %q?", text.Quote(s), s+"s")
	}
	return fmt.Errorf("%s is not a duration; write a number and a unit, as in 10s, 5m, 24h or 7d", text.Quote(s))
}

// ParseMode reads the permission bits of a file: four octal digits beginning
// with 0. YAML 1.1 takes a bare 0660 as octal and YAML 1.2 as decimal; here the
// digits count and not what YAML makes of them. A bare 660 is refused, because
// it is decimal to both.
func ParseMode(s string) (fs.FileMode, error) {
	digits := strings.Replace(s, "0o", "0", 1)
	n, err := strconv.ParseUint(digits, 8, 32)
	switch {
	case err == nil && len(digits) == 3:
		return 0, fmt.Errorf("%s is not a mode; did you mean %q?", text.Quote(s), "0"+digits)
	case err != nil || len(digits) != 4 || digits[0] != '0':
		return 0, fmt.Errorf("%s is not a mode; write four octal digits, as in %q", text.Quote(s), "0640")
	}
	return fs.FileMode(n), nil
}
