package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/ipe-auditd/ipe-auditd/internal/auditrec"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// ReadJournal asks journalctl for the records of this boot: those that journald
// took from the kernel log, facility 0 only, and from the audit socket. Who may not
// read the journal gets none, without an error. ctx ends the waiting.
func ReadJournal(ctx context.Context) (Log, error) {
	cmd := exec.CommandContext(ctx, "journalctl", "--boot", "--quiet", "--no-pager", "--output=export",
		"_TRANSPORT=kernel", "SYSLOG_FACILITY=0", "+", "_TRANSPORT=audit")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Log{}, fmt.Errorf("read the journal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return Log{}, fmt.Errorf("read the journal: %w", err)
	}
	l, err := readExport(out)
	if err != nil || len(l.Records) == maxRecords {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
	}
	if werr := cmd.Wait(); err == nil && len(l.Records) < maxRecords {
		err = werr
	}
	if err != nil {
		return l, fmt.Errorf("read the journal: %w", err)
	}
	return l, nil
}

// readExport reads entries in the journal's export format.
func readExport(r io.Reader) (Log, error) {
	var l Log
	var rec input.Record
	var decoder ipe.Decoder
	var ev ipe.Event
	in := input.NewReader(r)
	for len(l.Records) < maxRecords {
		err := in.Next(&rec)
		var unread *input.UnreadError
		switch {
		case err == io.EOF, errors.As(err, &unread): // what is unread are lines of others
			return l, nil
		case err != nil:
			return l, err
		case rec.Event || rec.Forged || rec.Type == 0:
			continue
		}
		if decoder.Decode(&ev, rec.Type, rec.Text) != ipe.ClassIPE || ev.Has&ipe.HasStamp == 0 {
			continue
		}
		// journald has the whole line where it took it from the audit socket.
		l.add(rec.Type, rec.Text, rec.Truncated || len(rec.Text)+len("audit: type=1420 ") >= maxText && ev.Kind == ipe.KindUnparsed)
	}
	return l, nil
}

// body returns the text of a record behind its stamp.
func body(text []byte) []byte {
	_, b, _ := auditrec.CutStamp(text)
	return b
}
