package format

import (
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// form is a way to write keys and values.
type form uint8

const (
	formNames   form = iota // "key ", also of what is absent: for Keys
	formJSON                // ,"key":value
	formSD                  // ' key="value"', RFC 5424 section 6.3.3
	formJournal             // IPE_KEY=value and a newline, or the form with a length
	formEnv                 // IPE_KEY=value and a NUL
)

// encoder writes fields in one form. It has a method for each type of value;
// for what is absent it writes nothing.
//
// A key is given as it stands in a JSON object, ,"key": with all around it, and
// every method begins with a copy of it. That part is small enough to be inlined,
// so that the key is a constant there and its copy takes two or three
// instructions and no call. The rest of the method, which is not inlined, has
// nothing left to do in JSON but the value; the other forms replace the key.
type encoder struct {
	dst   []byte
	form  form
	guard guard // of formSD
	clock *clock
}

func (e *encoder) number(key string, n uint64, known bool) {
	if known || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.numberValue(key, n)
	}
}

func (e *encoder) errno(key string, n int64, known bool) {
	if known || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.errnoValue(key, n)
	}
}

func (e *encoder) signed(key string, n int64, known bool) {
	if known || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.signedValue(key, n)
	}
}

func (e *encoder) boolean(key string, b ipe.Bool) {
	if b.Known() || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.booleanValue(key, b == ipe.True)
	}
}

func (e *encoder) instant(key string, ms int64, known bool) {
	if known || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.instantValue(key, ms)
	}
}

func (e *encoder) hex64(key string, n uint64, known bool) {
	if known || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.hex64Value(key, n)
	}
}

// word writes a word of ours: it needs no escaping.
func (e *encoder) word(key, s string) {
	if s != "" || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.wordValue(key, s)
	}
}

// name writes a text of which an empty one is absent.
func (e *encoder) name(key string, b []byte) {
	if len(b) != 0 || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.textValue(key, b)
	}
}

// text writes bytes that others chose.
func (e *encoder) text(key string, b []byte) {
	if b != nil || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.textValue(key, b)
	}
}

// list writes several values: as a list in JSON, elsewhere with a blank between
// two. Not as several fields in the journal, which gives up an entry with more
// than 1024.
func (e *encoder) list(key string, list [][]byte) {
	if len(list) != 0 || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.listValue(key, list)
	}
}

// contexts writes the words of a set, as list does.
func (e *encoder) contexts(key string, c ipe.Contexts) {
	if c != 0 || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.contextsValue(key, c)
	}
}

// extra writes keys that nobody knows: as an object in JSON, elsewhere as
// key=value with a blank between two.
func (e *encoder) extra(key string, extra []ipe.KeyValue) {
	if len(extra) != 0 || e.form == formNames {
		e.dst = append(e.dst, key...)
		e.extraValue(key, extra)
	}
}
