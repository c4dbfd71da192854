package syslog

import "time"

// How much a history keeps of what was delivered: a generation ends when it is
// this long or this old, and there are two of them. Linux lets a receiver have
// up to 6 MiB unread (net.ipv4.tcp_rmem), of which less than 4 are payload.
const (
	generationBytes = 4 << 20
	generationTime  = 30 * time.Second
)

// history holds the frames that are not delivered yet, and those that were
// delivered so recently that the receiver may not have read them.
type history struct {
	old, cur generation
	pending  int  // where in cur begins what is not delivered
	again    bool // what was delivered has to be sent once more
	lf       bool // framing: LF, else Octet
}

// generation is a run of frames.
type generation struct {
	frames      []byte
	began, last time.Time // when the first one came, and the last was delivered
}

// reset drops what is not delivered: the runner writes it again.
func (h *history) reset() { h.cur.frames = h.cur.frames[:h.pending] }

// add appends msg.
func (h *history) add(msg []byte) {
	if h.pending == len(h.cur.frames) {
		h.turn(time.Now())
	}
	h.addFrame(msg)
}

// addFrame appends msg as a frame.
func (h *history) addFrame(msg []byte) {
	if h.lf {
		h.cur.frames = appendLine(h.cur.frames, msg)
	} else {
		h.cur.frames = appendCounted(h.cur.frames, msg)
	}
}

// turn begins a new generation if it is time. It must be called between batches.
func (h *history) turn(now time.Time) {
	switch {
	case h.again: // keep everything until it is delivered
		return
	case len(h.cur.frames) == 0:
		h.cur.began = now
		return
	case len(h.cur.frames) >= generationBytes:
		h.old, h.cur = h.cur, generation{frames: h.old.frames[:0], began: now}
	case now.Sub(h.cur.began) >= generationTime:
		h.old, h.cur = h.cur, generation{began: now} // calm: give memory back
	default:
		return
	}
	h.pending = 0
}

// unsent returns what to send on this connection, in order.
func (h *history) unsent() [2][]byte {
	if h.again {
		return [2][]byte{h.old.frames, h.cur.frames}
	}
	return [2][]byte{nil, h.cur.frames[h.pending:]}
}

// delivered says that everything returned by unsent is delivered.
func (h *history) delivered(now time.Time) {
	h.cur.last = now
	if h.again {
		h.old.last, h.cur.began = now, now // they count from now on
		h.again = false
	}
	h.pending = len(h.cur.frames)
}

// broken says that the connection ended at a time, and not by our choice.
func (h *history) broken(at time.Time) {
	h.reset()
	if h.again {
		return // nothing was delivered since the last time
	}
	if at.Sub(h.old.last) >= generationTime {
		h.old = generation{}
	}
	if at.Sub(h.cur.last) >= generationTime {
		h.cur = generation{began: at}
		h.pending = 0
	}
	h.again = true
}
