package tally

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/internal/eventsource"
	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/input"
)

// Unread is what was not read of the sources. The zero Unread says that everything
// was.
type Unread struct {
	sources []source
	more    uint64 // sources for which there was no room
}

// maxSources is how many sources are named.
const maxSources = 100

// source is what was not read of one source.
type source struct {
	name  string
	parts []input.Unread
}

// Fail takes an error that ended a source. It reports whether all that the error
// says is that something was not read.
func (u *Unread) Fail(err error) bool {
	var unread *input.UnreadError
	if !errors.As(err, &unread) {
		return false
	}
	if len(u.sources) < maxSources {
		u.sources = append(u.sources, source{unread.Source, unread.Parts})
	} else {
		u.more++
	}
	var damage *input.DamageError
	var form *input.FormatError
	return unread.Err == nil || errors.As(unread.Err, &damage) || errors.As(unread.Err, &form)
}

// Sources returns how many sources were not read whole.
func (u *Unread) Sources() uint64 { return uint64(len(u.sources)) + u.more }

// Lines returns how many lines were not read, as far as that is known.
func (u *Unread) Lines() (n uint64) {
	for _, s := range u.sources {
		for _, p := range s.parts {
			n = eventsource.Sum(n, p.Lines)
		}
	}
	return n
}

// JSON returns an object for each source and reason, with the keys source, lines
// and reason. lines is 0 where their number is not known.
func (u *Unread) JSON() []json.RawMessage {
	list := []json.RawMessage{}
	for _, s := range u.sources {
		for _, p := range s.parts {
			o := append([]byte(`{"source":`), Quote(s.name)...)
			o = strconv.AppendUint(append(o, `,"lines":`...), p.Lines, 10)
			list = append(list, append(format.AppendJSONText(o, "reason", []byte(p.Reason)), '}'))
		}
	}
	return list
}
