package losses

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// State is what was told so far of counters that outlive a process: the next
// one tells only the difference.
type State struct {
	BootID string    `json:"boot_id"`
	Cookie uint64    `json:"cookie"` // of the socket that Drops is about
	Drops  uint64    `json:"drops"`
	Kernel Told      `json:"kernel"`
	At     time.Time `json:"at"`
}

const stateFile = "ledger.json"

// LoadState reads the state from dir. A file that is not there is the zero
// State; one that cannot be read is as well, with an error that says so.
func LoadState(dir string) (State, error) {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("read the loss reporter: %w", err)
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("read the loss ledger %s: %w", path, err)
	}
	return s, nil
}

// Save replaces the file in dir as a whole. It is not synced: after a power
// cut the boot id is another one, and the file says nothing any more.
func (s State) Save(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write the loss reporter: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the loss reporter: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the loss reporter: %w", err)
	}
	return nil
}
