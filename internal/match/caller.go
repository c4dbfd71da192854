package match

import (
	"errors"
	"os/user"
	"strconv"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

var errNoUser = errors.New("no user of this host; give a number or a name")

// callerKeys are the keys of a selection that ask for who did it. A nil list was not
// given.
type callerKeys struct {
	units      []string // with * and ?
	users      []uint32
	containers []string // with * and ?
}

func (k *callerKeys) given() bool { return k.units != nil || k.users != nil || k.containers != nil }

// match reports whether ev has what is asked for.
func (k *callerKeys) match(ev *ipe.Event) bool {
	return (k.units == nil || anyLike(k.units, ev.Unit) || anyLike(k.units, ev.UserUnit)) &&
		(k.users == nil || k.hasUser(ev)) &&
		(k.containers == nil || anyLike(k.containers, ev.Container))
}

// hasUser reports whether one of the users did it: logged in, asked, or was acted
// for.
func (k *callerKeys) hasUser(ev *ipe.Event) bool {
	for _, id := range k.users {
		if ev.Has&ipe.HasUID != 0 && ev.UID == id || ev.Has&ipe.HasEUID != 0 && ev.EUID == id ||
			ev.Has&ipe.HasAUID != 0 && ev.AUID == id {
			return true
		}
	}
	return false
}

func anyLike(patterns []string, s []byte) bool {
	if s == nil {
		return false
	}
	for _, p := range patterns {
		if like(p, s) {
			return true
		}
	}
	return false
}

// like reports whether s is like the pattern: * is any number of bytes, ? one.
func like(pattern string, s []byte) bool {
	p, i := 0, 0
	star, from := -1, 0 // the last *, and where in s it ends at least
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// caller compiles the keys that ask for who did it.
func (c *compiler) caller(in *Selection, prefix string) (k callerKeys) {
	k.units = c.patterns(prefix+"units", in.Units)
	k.containers = c.patterns(prefix+"containers", in.Containers)
	if in.Users == nil {
		return k
	}
	c.notEmpty(prefix+"users", in.Users)
	k.users = []uint32{}
	for _, name := range in.Users {
		id, err := UserID(name)
		if err != nil {
			c.fail(prefix+"users", name, err.Error())
		}
		k.users = append(k.users, id)
	}
	return k
}

func (c *compiler) patterns(key string, values []string) []string {
	if values == nil {
		return nil
	}
	c.notEmpty(key, values)
	for _, v := range values {
		if v == "" {
			c.fail(key, v, "an empty text is no name")
		}
	}
	return values
}

// UserID returns the number of a user of this host, who is given by number or name.
func UserID(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, errNoUser
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, errNoUser
	}
	return uint32(n), nil
}
