//go:build race

package netlinkaudit

const raceEnabled = true
