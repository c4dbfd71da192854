//go:build !race

package auditwatch

const raceEnabled = false
