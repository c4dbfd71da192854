package main

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLog returns the daemon's own log: lines for a person, or, when stderr is
// connected to the journal, without a time and with the level as the prefix
// that journald reads (sd-daemon(3)). Logging never waits for stderr; Sync does,
// for a moment.
func newLog(stderr io.Writer, level string) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	enc := zapcore.EncoderConfig{
		MessageKey:       "msg",
		LevelKey:         "level",
		TimeKey:          "time",
		EncodeTime:       zapcore.ISO8601TimeEncoder,
		EncodeLevel:      zapcore.LowercaseLevelEncoder,
		EncodeDuration:   zapcore.StringDurationEncoder,
		ConsoleSeparator: " ",
	}
	if os.Getenv("JOURNAL_STREAM") != "" {
		enc.TimeKey = ""
		enc.EncodeLevel = encodeJournalLevel
	}
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(enc), newBacklog(stderr), lvl)
	return zap.New(core), nil
}

// encodeJournalLevel writes the syslog priority of the level.
func encodeJournalLevel(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	switch {
	case l < zapcore.InfoLevel:
		enc.AppendString("<7>")
	case l == zapcore.InfoLevel:
		enc.AppendString("<6>")
	case l == zapcore.WarnLevel:
		enc.AppendString("<4>")
	default:
		enc.AppendString("<3>")
	}
}
