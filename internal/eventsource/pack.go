package eventsource

import (
	"encoding/binary"
	"errors"
	"reflect"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// The form of an event between reading and sorting: the fields of ipe.Event that
// are not zero, each behind its number in the struct, and noField at the end. No
// other process reads it, so a field more or less changes nothing but this.
const noField = 0xff

// pack appends ev to dst.
func pack(dst []byte, ev *ipe.Event) []byte {
	return append(packStruct(dst, reflect.ValueOf(ev).Elem()), noField)
}

func packStruct(dst []byte, v reflect.Value) []byte {
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			dst = packValue(append(dst, byte(i)), f)
		}
	}
	return dst
}

func packValue(dst []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Int64:
		return binary.AppendVarint(dst, v.Int())
	case reflect.Slice:
		dst = binary.AppendUvarint(dst, uint64(v.Len()))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(dst, v.Bytes()...)
		}
		for i := range v.Len() {
			dst = packValue(dst, v.Index(i))
		}
		return dst
	case reflect.Struct:
		return append(packStruct(dst, v), noField)
	case reflect.Bool:
		return append(dst, 1)
	default:
		return binary.AppendUvarint(dst, v.Uint())
	}
}

var errPacked = errors.New("an event in the spool is damaged")

// unpack reads what pack wrote into ev, which is the zero Event. Its slices view
// src. It returns what is behind it.
func unpack(ev *ipe.Event, src []byte) ([]byte, error) {
	return unpackStruct(reflect.ValueOf(ev).Elem(), src)
}

func unpackStruct(v reflect.Value, src []byte) ([]byte, error) {
	for {
		if len(src) == 0 {
			return nil, errPacked
		}
		i := int(src[0])
		src = src[1:]
		if i == noField {
			return src, nil
		}
		if i >= v.NumField() {
			return nil, errPacked
		}
		var err error
		if src, err = unpackValue(v.Field(i), src); err != nil {
			return nil, err
		}
	}
}

func unpackValue(v reflect.Value, src []byte) ([]byte, error) {
	switch v.Kind() {
	case reflect.Int64:
		n, l := binary.Varint(src)
		if l <= 0 {
			return nil, errPacked
		}
		v.SetInt(n)
		return src[l:], nil
	case reflect.Struct:
		return unpackStruct(v, src)
	case reflect.Bool:
		if len(src) == 0 {
			return nil, errPacked
		}
		v.SetBool(true)
		return src[1:], nil
	}
	n, l := binary.Uvarint(src)
	if l <= 0 {
		return nil, errPacked
	}
	src = src[l:]
	if v.Kind() != reflect.Slice {
		v.SetUint(n)
		return src, nil
	}
	if n > uint64(len(src)) {
		return nil, errPacked
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes(src[:n:n])
		return src[n:], nil
	}
	list := reflect.MakeSlice(v.Type(), int(n), int(n))
	for i := range int(n) {
		var err error
		if src, err = unpackValue(list.Index(i), src); err != nil {
			return nil, err
		}
	}
	v.Set(list)
	return src, nil
}

// The bounds of shapes.
const (
	maxShapes     = 40_000
	maxShapeBytes = 32 << 20
	shapeRoom     = 1500 // bytes of an ipe.Event and its place in the map
)

// shapes numbers what many accesses have in common, which is most of them: all
// but the time, the process and the inode. The numbers begin with 1.
type shapes struct {
	numbers map[string]uint32
	events  []*ipe.Event
	size    int
}

// number returns the number of what was packed, 0 where there is no room for
// another one.
func (s *shapes) number(packed []byte) (uint32, error) {
	if n := s.numbers[string(packed)]; n > 0 {
		return n, nil
	}
	size := shapeRoom + 2*len(packed)
	if len(s.events) >= maxShapes || s.size+size > maxShapeBytes {
		return 0, nil
	}
	if s.numbers == nil {
		s.numbers = make(map[string]uint32)
	}
	key := string(packed)
	ev := new(ipe.Event)
	if _, err := unpack(ev, []byte(key)); err != nil {
		return 0, err
	}
	s.events = append(s.events, ev)
	s.numbers[key] = uint32(len(s.events))
	s.size += size
	return uint32(len(s.events)), nil
}
