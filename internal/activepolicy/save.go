package activepolicy

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

const tableFile = "policies.json"

// maxFile bounds the file, in bytes. A table of as many policies as it may have,
// each as long as it may be and spelt as long as it can be, is shorter.
const maxFile = maxPolicies * 12 * maxPolicy

// savedTable is the file. Numbers from Next on were never given; of those
// before that are not in the list nothing is known.
type savedTable struct {
	Next     uint32        `json:"next"`
	Policies []savedPolicy `json:"policies"`
}

type savedPolicy struct {
	Number  uint16  `json:"number"`
	Name    string  `json:"name"`
	NameHex string  `json:"name_hex,omitempty"` // where the name is not valid UTF-8
	Version *string `json:"version,omitempty"`
	Digest  *string `json:"digest,omitempty"`
}

// OpenTable returns the table of dir, or where there is none, or a damaged one, a
// new one that begins behind used(), the highest number that any entry carries.
// It is saved, so that numbers may be given. The error says what of that failed;
// it may be used all the same, but without Save gives no new numbers.
func OpenTable(dir string, used func() uint16) (*Table, error) {
	t, err := LoadTable(dir)
	if err != nil {
		t = newTable(used(), 0)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return t, errors.Join(err, t.Save(dir, false))
}

// LoadTable reads the table of dir, to look up policies. The error is
// os.ErrNotExist when there is none.
func LoadTable(dir string) (*Table, error) {
	path := filepath.Join(dir, tableFile)
	text, err := atomicfile.Read(atomicfile.OS{}, path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("load the numbers of policies: %w", err)
	}
	var saved savedTable
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("load the numbers of policies: %s: %w", path, err)
	}
	if saved.Next == 0 || saved.Next > maxNumber+1 || len(saved.Policies) > maxPolicies {
		return nil, fmt.Errorf("load the numbers of policies: %s: damaged", path)
	}
	t := newTable(uint16(saved.Next-1), 0)
	for i := range saved.Policies {
		s := &saved.Policies[i]
		p := &ipe.Policy{Name: []byte(s.Name), Version: bytesOf(s.Version), Digest: bytesOf(s.Digest)}
		if s.NameHex != "" {
			p.Name, err = hex.DecodeString(s.NameHex)
		}
		if err != nil || s.Number == 0 || uint32(s.Number) >= saved.Next || t.Policy(s.Number) != nil {
			return nil, fmt.Errorf("load the numbers of policies: %s: damaged", path)
		}
		t.enter(s.Number, key(p), p)
	}
	return t, nil
}

// Save keeps the table in dir, where another process finds it after any end of
// this one, and of the machine. To that end it notes some numbers as given that
// are not yet, and Number gives no others before the next Save; final says that
// it will give none any more. It waits for the disk. One goroutine at a time may
// call it, while others use the table.
func (t *Table) Save(dir string, final bool) error {
	saved := savedTable{Next: t.last.Load() + 1, Policies: []savedPolicy{}}
	if !final {
		saved.Next = min(saved.Next+ahead, maxNumber+1)
	}
	if list := t.policies.Load(); list != nil {
		for n, p := range *list {
			if p != nil {
				saved.Policies = append(saved.Policies, savable(uint16(n), p))
			}
		}
	}
	text, err := json.MarshalIndent(&saved, "", "\t")
	if err == nil {
		err = atomicfile.Write(atomicfile.OS{}, filepath.Join(dir, tableFile), append(text, '\n'), 0o600, true)
	}
	if err != nil {
		return fmt.Errorf("save the numbers of policies: %w", err)
	}
	t.limit.Store(saved.Next)
	return nil
}

func savable(number uint16, p *ipe.Policy) savedPolicy {
	s := savedPolicy{Number: number, Name: string(p.Name), Version: textOf(p.Version), Digest: textOf(p.Digest)}
	if !utf8.Valid(p.Name) {
		s.NameHex = hex.EncodeToString(p.Name)
	}
	return s
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func textOf(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}
