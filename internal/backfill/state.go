package backfill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

const (
	stateFile = "backfill.json"
	maxState  = 4 << 10 // bytes; the file has less than a hundred
)

type state struct {
	BootID string `json:"boot_id"` // of which all was told
}

// Done reports whether a process before has told everything of the boot.
func Done(dir, bootID string) (bool, error) {
	text, err := atomicfile.Read(atomicfile.OS{}, filepath.Join(dir, stateFile), maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var s state
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return false, fmt.Errorf("read what was fetched from the kernel log: %w", err)
	}
	return s.BootID == bootID, nil
}

// Mark notes that everything of the boot was told. It is not synced: behind a power
// cut is another boot.
func Mark(dir, bootID string) error {
	text, err := json.Marshal(state{bootID})
	if err == nil {
		err = atomicfile.Write(atomicfile.OS{}, filepath.Join(dir, stateFile), append(text, '\n'), 0o600, false)
	}
	if err != nil {
		return fmt.Errorf("note what was fetched from the kernel log: %w", err)
	}
	return nil
}
