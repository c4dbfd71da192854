package eventsource

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// fill sets every field of v to something else than zero.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Int64:
		v.SetInt(-int64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		t.Fatalf("pack does not know %v", v.Type())
	}
}

// TestEveryFieldIsPacked holds for fields that come later, too.
func TestEveryFieldIsPacked(t *testing.T) {
	t.Parallel()
	var want, got ipe.Event
	n := 0
	fill(t, reflect.ValueOf(&want).Elem(), &n)
	packed := pack(nil, &want)
	rest, err := unpack(&got, append(packed, "rest"...))
	if err != nil || string(rest) != "rest" {
		t.Fatalf("rest %q, %v", rest, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if reflect.TypeFor[ipe.Event]().NumField() >= noField {
		t.Error("there are too many fields for one byte")
	}
	for i := range packed {
		unpack(new(ipe.Event), packed[:i]) // must not panic
	}
}

func TestEmptyIsNotAbsentWhenPacked(t *testing.T) {
	t.Parallel()
	var got ipe.Event
	if _, err := unpack(&got, pack(nil, &ipe.Event{Path: []byte{}})); err != nil || got.Path == nil || got.Comm != nil {
		t.Errorf("path %#v, comm %#v, %v", got.Path, got.Comm, err)
	}
}

func TestShapesAreBounded(t *testing.T) {
	t.Parallel()
	var s shapes
	for i := range uint64(maxShapes + 1) {
		n, err := s.number(pack(nil, &ipe.Event{Ino: i}))
		if err != nil {
			t.Fatal(err)
		}
		if room := i < maxShapeBytes/(shapeRoom+100); room && n == 0 {
			t.Fatalf("no room for event %d", i)
		}
	}
	if n, _ := s.number(pack(nil, &ipe.Event{Ino: 3})); n != 4 || s.size > maxShapeBytes {
		t.Errorf("number %d, %d bytes", n, s.size)
	}
}
