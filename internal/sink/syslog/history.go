package syslog

import (
	"slices"
	"sort"
	"time"
)

// How much a history keeps of what was delivered: at least this much of the last
// time, and at most twice as much. Linux lets a receiver have up to 6 MiB unread
// (net.ipv4.tcp_rmem), of which less than 4 are payload.
const (
	historyBytes = 4 << 20
	historyTime  = 30 * time.Second
)

// history holds the frames that are not delivered yet, and behind those the ones
// that were delivered so recently that the receiver may not have read them.
type history struct {
	frames []byte
	marks  []mark // one for each frame; the oldest is the first
	sent   int    // marks[:sent] were delivered; the runner writes the others again after a failure
	next   int    // marks[next:] are to be sent; less than sent where some have to be sent again
	lf     bool   // framing: LF, else Octet
}

// mark is a message in a history.
type mark struct {
	end   int // of its frame in frames
	size  int // of the message, the end of the frame but for a newline
	acked time.Time
	id    identity
}

// begin returns where the frame i begins.
func (h *history) begin(i int) int {
	if i == 0 {
		return 0
	}
	return h.marks[i-1].end
}

// between returns the frames i to j.
func (h *history) between(i, j int) []byte { return h.frames[h.begin(i):h.begin(j)] }

// message returns the message i.
func (h *history) message(i int) []byte {
	end := h.marks[i].end
	if h.lf {
		end--
	}
	return h.frames[end-h.marks[i].size : end]
}

// frame appends msg to dst as a frame.
func (h *history) frame(dst, msg []byte) []byte {
	if h.lf {
		return appendLine(dst, msg)
	}
	return appendCounted(dst, msg)
}

// reset drops what is not delivered: the runner writes it again.
func (h *history) reset() {
	h.frames, h.marks = h.frames[:h.begin(h.sent)], h.marks[:h.sent]
	h.next = min(h.next, h.sent)
}

// pending is how many bytes are not delivered.
func (h *history) pending() int { return len(h.frames) - h.begin(h.sent) }

// again reports whether something that was delivered has to be sent once more.
func (h *history) again() bool { return h.next < h.sent }

// unsent is how many messages are to be sent.
func (h *history) unsent() int { return len(h.marks) - h.next }

// add appends msg.
func (h *history) add(msg []byte, id identity) {
	if h.sent == len(h.marks) {
		h.trim(time.Now())
	}
	h.frames = h.frame(h.frames, msg)
	h.marks = append(h.marks, mark{end: len(h.frames), size: len(msg), id: id})
}

// trim forgets what is old, where that is due. It must be called between batches.
func (h *history) trim(now time.Time) {
	switch {
	case h.again(), len(h.marks) == 0: // keep everything until it is delivered
	case len(h.frames) > 2*historyBytes, now.Sub(h.marks[0].acked) > 2*historyTime:
		h.forget(max(h.older(now.Add(-historyTime)), h.beyond(historyBytes)))
	}
}

// recent reports whether something was delivered so lately before at that it may
// not have been read.
func (h *history) recent(at time.Time) bool { return h.older(at.Add(-historyTime)) < h.sent }

// older returns how many were delivered before t.
func (h *history) older(t time.Time) int {
	return sort.Search(h.sent, func(i int) bool { return !h.marks[i].acked.Before(t) })
}

// beyond returns how many have that many bytes behind them.
func (h *history) beyond(bytes int) int {
	return sort.Search(h.sent, func(i int) bool { return len(h.frames)-h.marks[i].end < bytes })
}

// forget drops the first n.
func (h *history) forget(n int) {
	if n == 0 {
		return
	}
	cut := h.begin(n)
	h.frames = slices.Delete(h.frames, 0, cut)
	h.marks = slices.Delete(h.marks, 0, n)
	for i := range h.marks {
		h.marks[i].end -= cut
	}
	if cap(h.frames) > historyBytes && len(h.frames) < historyBytes/8 { // calm: give memory back
		h.frames, h.marks = slices.Clone(h.frames), slices.Clone(h.marks)
	}
	h.sent -= n
	h.next = max(0, h.next-n)
}

// delivered says that the next n are delivered.
func (h *history) delivered(n int, now time.Time) {
	for i := range h.marks[h.next : h.next+n] {
		h.marks[h.next+i].acked = now
	}
	h.next += n
	h.sent = max(h.sent, h.next)
}

// broken says that the connection ended at a time, and not by our choice. Then
// what was delivered lately has to be sent again: from the beginning, or if rest is
// true, only what was not delivered since it ended the last time.
func (h *history) broken(at time.Time, rest bool) {
	again := h.again()
	h.reset()
	if again || rest {
		if !rest {
			h.next = 0
		}
		return
	}
	h.forget(h.older(at.Add(-historyTime)))
	h.next = 0
}

// replace puts msg in the place of message i, or nothing if msg is nil.
func (h *history) replace(i int, msg []byte) {
	var frame []byte
	if msg != nil {
		frame = h.frame(nil, msg)
	}
	begin, end := h.begin(i), h.marks[i].end
	h.frames = slices.Replace(h.frames, begin, end, frame...)
	for j := i; j < len(h.marks); j++ {
		h.marks[j].end += len(frame) - (end - begin)
	}
	if msg != nil {
		h.marks[i].size = len(msg)
		return
	}
	h.marks = slices.Delete(h.marks, i, i+1)
	if i < h.sent {
		h.sent--
	}
	if i < h.next {
		h.next--
	}
}
