package eventsource

import (
	"bytes"
	"errors"
	"io"
)

// sameStamp is how many bytes of a record are host, time and serial.
const sameStamp = 20

// maxSame bounds how many events of one stamp and serial are compared with one
// another.
const maxSame = 4096

var errSame = errors.New("more than 4096 records have one stamp and serial: some of them may have been counted twice")

// replay gives what was gathered, in order, each event once.
type replay struct {
	ahead []byte // the next record, nil before the first and behind the last one
	begun bool

	group []Event // of one stamp and serial
	first []byte  // what the first of them views
	given int     // how many of them were returned
	late  error   // what is to be said at the end
}

// next returns the next event.
func (r *replay) next(g *gatherer) (*Event, error) {
	if !r.begun {
		r.begun = true
		if err := r.look(g); err != nil {
			return nil, err
		}
	}
	if r.given == len(r.group) {
		if r.ahead == nil {
			return nil, io.EOF
		}
		if err := r.fill(g); err != nil {
			return nil, err
		}
	}
	r.given++
	return &r.group[r.given-1], nil
}

// look reads the next record.
func (r *replay) look(g *gatherer) (err error) {
	r.ahead, err = g.sorter.next()
	if err == nil && r.ahead != nil && bytes.Equal(r.ahead[:4], []byte{0xff, 0xff, 0xff, 0xff}) {
		r.ahead = nil // what is left is of hosts that nobody asked for
	}
	return err
}

// fill makes group what comes next, each of its events once.
func (r *replay) fill(g *gatherer) error {
	r.group, r.given = r.group[:0], 0
	r.first = append(r.first[:0], r.ahead...)
	key := r.first[:sameStamp]
	if isZero(key[12:]) {
		key = r.first[:keyLen] // without a serial, only what has a number is the same
	}
	rec := r.first
	for {
		r.group = append(r.group, Event{})
		ev := &r.group[len(r.group)-1]
		if err := g.load(ev, rec); err != nil {
			return err
		}
		if err := r.look(g); err != nil {
			return err
		}
		if r.ahead == nil || !bytes.HasPrefix(r.ahead, key) {
			break
		}
		if len(r.group) == maxSame {
			if !isZero(key[12:]) {
				r.late = errSame
			}
			break
		}
		rec = bytes.Clone(r.ahead)
	}
	if len(r.group) > 1 {
		r.group = unique(r.group)
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// unique leaves one of the events that are the same, that which says most.
func unique(list []Event) []Event {
	out := list[:0]
next:
	for i := range list {
		for j := range out {
			if !same(&list[i], &out[j]) {
				continue
			}
			list[i].On.Repeats++
			if better(&list[i], &out[j]) {
				list[i].merge(&out[j])
				out[j] = list[i]
			} else {
				out[j].merge(&list[i])
			}
			continue next
		}
		out = append(out, list[i])
	}
	return out
}
