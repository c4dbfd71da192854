package format

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// name returns the name of a key.
func name(key string) string { return key[len(`,"`) : len(key)-len(`":`)] }

// begin makes of the key at the end of dst what stands before a value in this
// form. It reports whether there is to be a value.
func (e *encoder) begin(key string) bool { return e.form == formJSON || e.replace(key) }

func (e *encoder) replace(key string) bool {
	e.dropKey(key)
	switch e.form {
	case formNames:
		e.dst = append(append(e.dst, name(key)...), ' ')
		return false
	case formSD:
		e.dst = append(append(append(e.dst, ' '), name(key)...), `="`...)
	case formJournal, formEnv:
		e.dst = append(appendVariable(e.dst, name(key)), '=')
	}
	return true
}

// dropKey takes the key away from the end of dst.
func (e *encoder) dropKey(key string) { e.dst = e.dst[:len(e.dst)-len(key)] }

// end writes what stands behind a value.
func (e *encoder) end() {
	switch e.form {
	case formSD:
		e.dst = append(e.dst, '"')
	case formJournal:
		e.dst = append(e.dst, '\n')
	case formEnv:
		e.dst = append(e.dst, 0)
	}
}

// quote writes the quotes of a string that is written bare elsewhere.
func (e *encoder) quote() {
	if e.form == formJSON {
		e.dst = append(e.dst, '"')
	}
}

func (e *encoder) numberValue(key string, n uint64) {
	if e.begin(key) {
		e.dst = strconv.AppendUint(e.dst, n, 10)
		e.end()
	}
}

// errnoValue writes the negative number that the kernel prints. The journal has
// a field of its own for it, and there it is positive: ERRNO=,
// systemd.journal-fields(7).
func (e *encoder) errnoValue(key string, n int64) {
	if e.form == formJournal {
		e.dropKey(key)
		e.dst = strconv.AppendUint(append(e.dst, "ERRNO="...), uint64(max(n, -n)), 10)
		e.end()
		return
	}
	e.signedValue(key, n)
}

func (e *encoder) signedValue(key string, n int64) {
	if e.begin(key) {
		e.dst = strconv.AppendInt(e.dst, n, 10)
		e.end()
	}
}

func (e *encoder) booleanValue(key string, b bool) {
	if e.begin(key) {
		e.dst = strconv.AppendBool(e.dst, b)
		e.end()
	}
}

func (e *encoder) instantValue(key string, ms int64) {
	if e.begin(key) {
		e.quote()
		e.dst = e.clock.append(e.dst, ms)
		e.quote()
		e.end()
	}
}

func (e *encoder) hex64Value(key string, n uint64) {
	if e.begin(key) {
		e.quote()
		for shift := 60; shift >= 0; shift -= 4 {
			e.dst = append(e.dst, lowerHex[n>>shift&15])
		}
		e.quote()
		e.end()
	}
}

func (e *encoder) wordValue(key, s string) {
	if e.begin(key) {
		e.quote()
		e.dst = append(e.dst, s...)
		e.quote()
		e.end()
	}
}

func (e *encoder) textValue(key string, b []byte) {
	whole := true
	switch e.form {
	case formJSON:
		e.dst, whole = appendJSONString(e.dst, b)
	case formEnv:
		if len(b) > maxVariable {
			e.dropKey(key)
			return
		}
		e.begin(key)
		e.dst = appendEnvValue(e.dst, b)
	case formJournal:
		if slices.Contains(b, '\n') {
			e.dropKey(key)
			e.dst = appendJournalBinary(appendVariable(e.dst, name(key)), b)
		} else {
			e.begin(key)
			e.dst = append(e.dst, b...)
		}
	case formSD:
		e.begin(key)
		g := e.guard
		if key == `,"rule":` || key == `,"rule_properties":` {
			g = g.forRule()
		}
		e.dst, whole = appendSDValue(e.dst, b, g)
	case formNames:
		e.begin(key)
		return
	}
	e.end()
	if !whole {
		e.hexKey(key)
		e.quote()
		e.dst = appendHex(e.dst, b)
		e.quote()
		e.end()
	}
}

// hexKey is begin for KEY_hex, which only JSON and SD have.
func (e *encoder) hexKey(key string) {
	if e.form == formJSON {
		e.dst = append(append(e.dst, key[:len(key)-len(`":`)]...), `_hex":`...)
	} else {
		e.dst = append(append(append(e.dst, ' '), name(key)...), `_hex="`...)
	}
}

func (e *encoder) listValue(key string, list [][]byte) {
	switch e.form {
	case formJSON:
		whole := true
		e.dst, whole = appendJSONList(e.dst, list)
		if !whole {
			e.hexKey(key)
			e.dst = appendJSONHexList(e.dst, list)
		}
	case formNames:
		e.begin(key)
	default:
		e.dropKey(key)
		start := len(e.dst)
		for _, b := range list {
			e.dst = append(append(e.dst, b...), ' ')
		}
		e.fromTail(key, start)
	}
}

func (e *encoder) contextsValue(key string, c ipe.Contexts) {
	if !e.begin(key) {
		return
	}
	open, quote, sep, end := "", "", " ", ""
	if e.form == formJSON {
		open, quote, sep, end = "[", `"`, ",", "]"
	}
	e.dst = append(e.dst, open...)
	between := ""
	for s := range c.All {
		e.dst = append(append(append(append(e.dst, between...), quote...), s...), quote...)
		between = sep
	}
	e.dst = append(e.dst, end...)
	e.end()
}

func (e *encoder) extraValue(key string, extra []ipe.KeyValue) {
	switch e.form {
	case formJSON:
		e.dst = appendJSONExtra(e.dst, extra)
	case formNames:
		e.begin(key)
	default:
		e.dropKey(key)
		start := len(e.dst)
		for _, kv := range extra {
			e.dst = append(append(e.dst, kv.Key...), '=')
			e.dst = append(append(e.dst, kv.Value...), ' ')
		}
		e.fromTail(key, start)
	}
}

// fromTail writes as a text what was put together in dst[start:], without the
// blank at its end, and takes that away: the end of dst is scratch space too.
func (e *encoder) fromTail(key string, start int) {
	end := len(e.dst)
	e.text(key, e.dst[start:end-1])
	e.dst = slices.Delete(e.dst, start, end)
}

// origin is what JSON has of the Host and BootID of a Context, which are the same
// for nearly all events.
type origin struct {
	host, bootID []byte
	text         []byte // nil: none yet
}

// sameOrigin writes the origin again, if it is the one that was kept.
func (e *encoder) sameOrigin(c *Context) bool {
	o := &c.origin
	if e.form != formJSON || o.text == nil || !bytes.Equal(o.host, c.Host) || !bytes.Equal(o.bootID, c.BootID) {
		return false
	}
	e.dst = append(e.dst, o.text...)
	return true
}

// keepOrigin keeps the origin, which stands at the end of dst.
func (e *encoder) keepOrigin(c *Context, start int) {
	if e.form == formJSON {
		o := &c.origin
		o.host, o.bootID = append(o.host[:0], c.Host...), append(o.bootID[:0], c.BootID...)
		o.text = append(o.text[:0], e.dst[start:]...)
		if o.text == nil {
			o.text = []byte{}
		}
	}
}

// appendVariable appends the name of key in the journal and among environment
// variables: in upper case, with IPE_ before it, but only once.
func appendVariable(dst []byte, key string) []byte {
	if len(key) < 4 || key[:4] != "ipe_" {
		dst = append(dst, "IPE_"...)
	}
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// appendHex appends b in upper-case hex.
func appendHex(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, upperHex[c>>4], upperHex[c&15])
	}
	return dst
}
