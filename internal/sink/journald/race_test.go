//go:build race

package journald

const raceEnabled = true
