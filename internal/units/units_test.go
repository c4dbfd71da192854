package units

import (
	"io/fs"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{"0": 0, "1": 1, "64KiB": 64 << 10, "64MiB": 64 << 20, "1GiB": 1 << 30, "8388607TiB": 8388607 << 40} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%s comes back as %s", text, got)
		}
	}
	for _, text := range []string{"", "MiB", "64 MiB", "64mib", "64M", "64MB", "-1", "1.5GiB", "1e3", "0x10", "8388608TiB", "1_000", "64MiBs"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "10s": 10 * time.Second, "1m30s": 90 * time.Second, "7d": 7 * day, "1d12h": 36 * time.Hour,
		"-2d": -2 * day, "-1d1h": -25 * time.Hour, "106751d": 106751 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "d", "1.5d", "1d-2h", "1d+2h", "--1d", "1h2d", "106752d", "106751d24h", "99999999999999999999d", "1w", "- 1s"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestParseMode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]fs.FileMode{"0660": 0o660, "0o640": 0o640, "0000": 0} {
		if got, err := ParseMode(text); err != nil || got != want {
			t.Errorf("%s: got %o, %v, want %o", text, got, err, want)
		}
	}
	for _, text := range []string{"", "660", "432", "00660", "1660", "0680", "-660", "u=rw", "0x1b", "06_0", "+660"} {
		if got, err := ParseMode(text); err == nil {
			t.Errorf("%q: got %o, want an error", text, got)
		}
	}
}
