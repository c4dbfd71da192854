package segment

// Point is a place between two frames of an id. Of two points the one with the
// higher number has no lower sequence number.
type Point struct {
	N   uint64 // number of the next frame
	Seq uint64 // sequence number of the next event
}

// Origin is the point before the first frame of an id.
var Origin = Point{1, 1}

// Behind returns the point behind a frame that begins at p.
func (p Point) Behind(attachment bool) Point {
	p.N++
	if !attachment {
		p.Seq++
	}
	return p
}

// Attachments returns how many frames from p to q are none of events.
func (p Point) Attachments(q Point) uint64 { return q.N - p.N - (q.Seq - p.Seq) }
