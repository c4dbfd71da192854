package journaltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"
)

// Entry is one entry of the journal: the values of its fields, which may hold
// any bytes. A field may occur several times.
type Entry map[string][]string

// Get returns the first value of a field, or the empty string.
func (e Entry) Get(field string) string {
	if v := e[field]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Entries waits until journald has written what was queued, and returns all
// entries that journalctl selects by matches such as SYSLOG_IDENTIFIER=x.
func (j *Journal) Entries(t testing.TB, matches ...string) []Entry {
	t.Helper()
	if j.cmd != nil {
		j.Sync(t)
	}
	dec := json.NewDecoder(bytes.NewReader(j.Journalctl(t, append([]string{"--output=json", "--all"}, matches...)...)))
	var entries []Entry
	for {
		var raw map[string]json.RawMessage
		err := dec.Decode(&raw)
		if err == io.EOF {
			return entries
		}
		if err != nil {
			t.Fatalf("read journalctl's output: %v", err)
		}
		e := make(Entry, len(raw))
		for field, v := range raw {
			if e[field], err = values(v); err != nil {
				t.Fatalf("field %s: %v", field, err)
			}
		}
		entries = append(entries, e)
	}
}

// values reads the value of one key of journalctl -o json: a string; an array
// of numbers for what is not printable UTF-8; an array of these if the field
// occurs several times (journalctl(1), --output=json).
func values(v json.RawMessage) ([]string, error) {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return []string{s}, nil
	}
	var b []uint16 // a []byte would be base64
	if json.Unmarshal(v, &b) == nil {
		text := make([]byte, len(b))
		for i, c := range b {
			text[i] = byte(c)
		}
		return []string{string(text)}, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil {
		return nil, fmt.Errorf("unexpected value of %d bytes", len(v))
	}
	var all []string
	for _, v := range list {
		one, err := values(v)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}
