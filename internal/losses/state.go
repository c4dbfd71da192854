package losses

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
)

// State is what was told so far of counters that outlive a process: the next
// one tells only the difference.
type State struct {
	BootID string    `json:"boot_id"`
	Cookie uint64    `json:"cookie"` // of the socket that Drops is about
	Drops  uint64    `json:"drops"`
	Kernel Reported  `json:"kernel"`
	At     time.Time `json:"at"`
}

const stateFile = "ledger.json"

const maxState = 64 << 10 // bytes; the file is far shorter

// LoadState reads the state from dir. A file that is not there is the zero
// State; one that cannot be read is as well, with an error that says so.
func LoadState(dir string) (State, error) {
	path := filepath.Join(dir, stateFile)
	text, err := atomicfile.Read(atomicfile.OS{}, path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the state of the losses: %w", err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("read the state of the losses: %s: %w", path, err)
	}
	return s, nil
}

// Save replaces the file in dir as a whole. It is not synced: after a power
// cut the boot id is another one, and the file says nothing any more.
func (s State) Save(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the state of the losses: %w", err)
	}
	if err := atomicfile.Write(atomicfile.OS{}, filepath.Join(dir, stateFile), append(text, '\n'), 0o600, false); err != nil {
		return fmt.Errorf("write the state of the losses: %w", err)
	}
	return nil
}
