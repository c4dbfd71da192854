package seal

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/ipe-auditd/ipe-auditd/internal/spool/segment"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// Checkpoint is what a note says: a C2SP checkpoint
// (https://c2sp.org/tlog-checkpoint) of the tree of one spool id, with four lines
// behind the root:
//
//	time MILLISECONDS
//	host NAME
//	boot ID
//	from SIZE PEAK...
//
// which are the time, the host and the boot of the event, as Go quotes them, and the
// tree as it was at the checkpoint before: so each checkpoint can be checked alone,
// with the leaves in between. The origin is NAME/SPOOL, where NAME is the key's.
type Checkpoint struct {
	Spool segment.ID
	Time  int64 // milliseconds since 1970
	Host  string
	Boot  string
	Size  uint64 // the seq of the newest event that is sealed
	Root  tlog.Hash

	from Tree // at the checkpoint before
}

// From returns the size at the checkpoint before.
func (c *Checkpoint) From() uint64 { return c.from.size }

func origin(name string, id segment.ID) string { return name + "/" + id.String() }

// Sign returns the note.
func (c *Checkpoint) Sign(s note.Signer) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\ntime %d\nhost %s\nboot %s\nfrom %d",
		origin(s.Name(), c.Spool), c.Size, c.Root, c.Time, strconv.QuoteToASCII(c.Host), strconv.QuoteToASCII(c.Boot), c.from.size)
	for _, h := range c.from.peaks {
		b.WriteString(" " + h.String())
	}
	b.WriteString("\n")
	return note.Sign(&note.Note{Text: b.String()}, s)
}

// errNote says that a note is no checkpoint of ours.
var errNote = errors.New("the note is no checkpoint of ipe-auditd")

// errUnsigned says that none of the keys signed a note.
var errUnsigned = errors.New("the note is not signed by the key given")

// Open reads a note that one of the keys signed.
func Open(text []byte, keys []note.Verifier) (*Checkpoint, error) {
	n, err := note.Open(text, note.VerifierList(keys...))
	var unverified *note.UnverifiedNoteError
	switch {
	case err == nil:
	case errors.As(err, &unverified):
		return nil, errUnsigned
	default:
		return nil, fmt.Errorf("the signature does not hold: %w", err)
	}
	for _, s := range append(n.Sigs, n.UnverifiedSigs...) {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return nil, errors.New("a signature is not in base64") // note.Open is lax
		}
	}
	c, err := parse(n.Text, n.Sigs[0].Name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNote, err)
	}
	return c, nil
}

// parse reads the text of a note, exactly as Sign writes it.
func parse(text, name string) (*Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 8 || lines[7] != "" {
		return nil, errors.New("it does not have seven lines")
	}
	c := new(Checkpoint)
	id, ok := strings.CutPrefix(lines[0], name+"/")
	var err error
	if c.Spool, err = segment.ParseID(id); !ok || err != nil || c.Spool.String() != id {
		return nil, errors.New("the origin is not the name of the key and a spool")
	}
	if c.Size, err = number(lines[1]); err != nil {
		return nil, err
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return nil, err
	}
	at, ok := strings.CutPrefix(lines[3], "time ")
	c.Time, err = strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || strconv.FormatInt(c.Time, 10) != at {
		return nil, errors.New("no time")
	}
	if c.Host, ok = unquote(lines[4], "host "); !ok {
		return nil, errors.New("no host")
	}
	if c.Boot, ok = unquote(lines[5], "boot "); !ok {
		return nil, errors.New("no boot")
	}
	from, ok := strings.CutPrefix(lines[6], "from ")
	fields := strings.Split(from, " ")
	if c.from.size, err = number(fields[0]); !ok || err != nil {
		return nil, errors.New("no tree that it goes on from")
	}
	for _, f := range fields[1:] {
		h, err := parseHash(f)
		if err != nil {
			return nil, err
		}
		c.from.peaks = append(c.from.peaks, h)
	}
	if !c.from.sound() || c.from.size > c.Size || c.Size-c.from.size > MaxEvery || c.Size > maxSeq {
		return nil, errors.New("the tree that it goes on from cannot be")
	}
	return c, nil
}

// unquote reads a word and a quoted string.
func unquote(line, word string) (string, bool) {
	quoted, ok := strings.CutPrefix(line, word)
	s, err := strconv.Unquote(quoted)
	return s, ok && err == nil && strconv.QuoteToASCII(s) == quoted
}

func number(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("a size is no number")
	}
	return n, nil
}

func parseHash(s string) (h tlog.Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("a hash is not in base64")
	}
	return tlog.Hash(b), nil
}

// check reads an event of KindCheckpoint, and returns what it seals: the leaves from
// From on, which the root vouches for.
func check(ev *ipe.Event, keys []note.Verifier) (*Checkpoint, []Leaf, error) {
	c, err := Open(ev.Note, keys)
	if err != nil {
		return nil, nil, err
	}
	leaves, err := parseLeaves(ev.Leaves)
	switch {
	case err != nil:
		return nil, nil, err
	case ev.Size != c.Size || string(ev.Root) != c.Root.String() || ev.Time != c.Time:
		return nil, nil, errors.New("the event says something else than its note")
	case uint64(len(leaves)) != c.Size-c.from.size:
		return nil, nil, errors.New("the event does not have the leaves that its note speaks of")
	}
	t := c.from.clone()
	for i := range leaves {
		t.Append(&leaves[i])
	}
	if t.Root() != c.Root {
		return nil, nil, errors.New("the leaves do not have the root that was signed")
	}
	return c, leaves, nil
}
