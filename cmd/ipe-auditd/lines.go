package main

import (
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipe-auditd/ipe-auditd/internal/format"
	"github.com/ipe-auditd/ipe-auditd/internal/host"
	"github.com/ipe-auditd/ipe-auditd/internal/packages"
	"github.com/ipe-auditd/ipe-auditd/internal/text"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// zoneOption is --utc.
type zoneOption struct{ utc bool }

func (o *zoneOption) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.utc, "utc", false, "print times in UTC instead of the local zone")
}

// zone returns that of the times in text.
func (o *zoneOption) zone() *time.Location {
	if o.utc {
		return time.UTC
	}
	return time.Local
}

// lineOptions are the flags of the commands that print a line for each event.
type lineOptions struct {
	zoneOption
	noIDs bool
}

func (o *lineOptions) addTo(cmd *cobra.Command) {
	o.zoneOption.addTo(cmd)
	cmd.Flags().BoolVar(&o.noIDs, "no-ids", false, "leave out the id of the event at the end of each line of text")
}

// eventLines writes events as lines, in text or JSON.
type eventLines struct {
	context format.Context
	json    bool
	colour  bool
	width   func() int // to cut lines of text to, 0 not to; nil: never
	users   userNames
	line    []byte
}

// newEventLines returns what writes the lines of cmd.
func newEventLines(cmd *cobra.Command, o *lineOptions, asJSON bool) eventLines {
	return eventLines{
		context: format.Context{IDs: !o.noIDs, Zone: o.zone()},
		json:    asJSON, colour: wantColour(cmd), users: newUserNames(),
	}
}

// of returns the line of an event whose identity is in the context. It lives until
// the next call.
func (l *eventLines) of(ev *ipe.Event) []byte {
	c := &l.context
	if l.json {
		l.line = format.AppendJSON(l.line[:0], ev, c)
		return l.line
	}
	encode := format.AppendText
	if l.colour {
		encode = format.AppendTextColour
	}
	c.User = l.users.on(c.Host)
	width := 0
	if l.width != nil {
		width = l.width()
	}
	if !c.IDs || width == 0 {
		l.line = encode(l.line[:0], ev, c)
		return text.Fit(l.line, width)
	}
	// What is cut is the middle: the id at the end is what one goes on with.
	c.IDs = false
	l.line = encode(l.line[:0], ev, c)
	c.IDs = true
	id := text.ShortID(c.AppendID(nil, ev), width)
	short := text.Fit(l.line, max(width-1-len(id), minWidth))
	if len(id) == 0 {
		return short
	}
	return append(format.AppendTextID(short[:len(short)-1], id, l.colour), '\n')
}

// minWidth is how many columns are left of a line at least beside the id.
const minWidth = 20

// userNames looks up the names of users of this host.
type userNames struct {
	here  string
	names map[uint32]string
}

func newUserNames() userNames { return userNames{here: host.Name(), names: make(map[uint32]string)} }

// maxUsers bounds the names that are kept: the numbers come from records.
const maxUsers = 10_000

// on returns what names users of events of that host, nil where they have no names
// here.
func (u *userNames) on(host []byte) func(uint32) string {
	if len(host) == 0 || string(host) != u.here {
		return nil
	}
	return u.name
}

// name returns the name of a user, empty where there is none.
func (u *userNames) name(uid uint32) string {
	name, known := u.names[uid]
	if !known && len(u.names) < maxUsers {
		if found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
			name = found.Username
		}
		u.names[uid] = name
	}
	return name
}

// packagesOption is --packages.
type packagesOption struct{ packages bool }

func (o *packagesOption) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.packages, "packages", false, "ask dpkg or rpm which packages files are of, for events of this host")
}

// ask returns what says of which package a file is, nil where that is not asked for.
func (o *packagesOption) ask(owners *packages.Owners) func(string) string {
	if !o.packages {
		return nil
	}
	return owners.Of
}
