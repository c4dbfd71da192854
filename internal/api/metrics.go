package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipe-auditd/ipe-auditd/internal/accesscount"
	"github.com/ipe-auditd/ipe-auditd/internal/atomicfile"
	"github.com/ipe-auditd/ipe-auditd/pkg/ipe"
)

// AppendMetrics appends st, which is complete, in the text format of Prometheus.
// Every counter is there from the start.
//
// The text is written by hand and not through a library: all of it comes from
// one Status, so status and metrics never disagree, and a library would want
// its own counters to be kept up to date beside those that are counted anyway.
// Of VictoriaMetrics/metrics only what is below would remain.
func AppendMetrics(dst []byte, st *Status) []byte {
	m := metrics{dst: dst}
	m.gauge("build_info", "Always 1; the version is a label.", 1, "version", st.Version)
	m.gauge("start_time_seconds", "When the daemon started, in seconds since 1970.", seconds(st.Since))
	m.gauge("healthy", "1 if the daemon is well, 0 if its status gives a reason why not.", truth(st.Healthy))
	if st.Socket != nil {
		m.gauge("socket_receive_buffer_bytes", "Receive buffer that the kernel granted.", float64(st.Socket.Buffer))
	}
	m.counter("received_total", "Messages received from the kernel.", st.Received)
	m.family("skipped_total", "counter", "Messages that are not IPE's, by reason.")
	for _, reason := range slices.Sorted(maps.Keys(st.Skipped)) {
		m.count(st.Skipped[reason], "reason", reason)
	}
	m.family("lost_total", "counter", "Records lost before the spool, by stage.")
	for _, l := range st.Lost {
		m.count(l.Count, "stage", l.Stage)
	}
	m.family("lost_exact", "gauge", "1 if the number of lost records is exact, 0 if there may be more.")
	for _, l := range st.Lost {
		m.sample(truth(l.Accuracy == "exact"), "stage", l.Stage)
	}
	m.accesses(st)
	m.companions(st.Companions)
	m.counter("forged_total", "Messages refused because the kernel did not send them.", st.Forged)
	m.audit(st.Audit)
	m.spool(&st.Spool)
	m.sinks(st.Sinks)
	m.gauge("feed_clients", "Streams of the feed that are open.", float64(st.Feed.Clients))
	m.counter("feed_opened_total", "Streams of the feed that were opened.", st.Feed.Opened)
	m.counter("feed_refused_total", "Streams of the feed that were refused because there were too many.", st.Feed.Refused)
	m.counter("feed_sent_total", "Events sent to all clients of the feed together.", st.Feed.Sent)
	m.counter("feed_lost_total", "Events overwritten before a client of the feed got them.", st.Feed.Lost)
	return m.dst
}

// companions writes what says who asked.
func (m *metrics) companions(c *Companions) {
	if c == nil {
		return
	}
	m.family("companions_state", "gauge", "1 for the state of the records that say who asked for an access: on, off (shut out), none (the kernel sends none), disabled.")
	for _, state := range [...]string{"on", "off", "none", "disabled"} {
		v := 0.0
		if c.State == state {
			v = 1
		}
		m.sample(v, "state", state)
	}
	m.counter("context_joined_total", "Records received that belong to an access.", c.Joined)
	m.counter("context_foreign_total", "Records received that could have belonged to an access, but did not.", c.Foreign)
	m.counter("context_late_total", "Accesses whose companion records came after the wait for them.", c.Late)
	m.counter("context_shut_out_total", "How often companion records were shut out because too many were foreign.", c.ShutOut)
	if p := c.Proc; p != nil {
		m.counter("proc_asked_total", "Processes that /proc was asked about.", p.Asked)
		m.counter("proc_found_total", "Processes of which /proc said something.", p.Found)
		m.counter("proc_dropped_total", "Processes that /proc was not asked about, because too many came at once.", p.Dropped)
	}
}

// accesses writes what became of accesses, and what is in force. Every verdict and
// operation is there from the start, so that the first one of them is an increase.
func (m *metrics) accesses(st *Status) {
	m.family("accesses_total", "counter", "Accesses that IPE judged and the kernel recorded, by verdict and operation.")
	for v := ipe.VerdictNone + 1; v.String() != ""; v++ {
		for _, op := range accesscount.Ops() {
			m.count(st.Accesses[v.String()][op], "verdict", v.String(), "op", op)
		}
	}
	m.counter("accesses_missed_total", "Events overwritten before it was looked whether they are accesses.", st.AccessesMissed)
	if !st.LastDenial.IsZero() {
		m.gauge("last_denial_timestamp_seconds", "When an access was denied last, in seconds since 1970; absent while none was since the start.", seconds(st.LastDenial))
	}
	if st.InForce.Enforcing != nil {
		m.gauge("enforcing", "1 if IPE enforces, 0 if it is permissive; absent while that is not known.", truth(*st.InForce.Enforcing))
	}
	if p := &st.InForce; p.Name != "" {
		m.gauge("active_policy_info", "Always 1; the policy in force is in the labels. Absent while there is none, or it is not known.", 1,
			"name", p.Name, "version", p.Version, "digest", p.Digest)
	}
}

func (m *metrics) spool(s *Spool) {
	m.gauge("spool_on_disk", "1 if new events go to the disk, 0 if to memory.", truth(s.Form == FormDisk))
	m.gauge("spool_entries", "Events kept.", float64(s.Entries))
	if !s.Oldest.IsZero() {
		m.gauge("spool_oldest_timestamp_seconds", "When the oldest event that is kept was received, in seconds since 1970.", seconds(s.Oldest))
	}
	m.gauge("spool_disk_bytes", "Size of the spool on disk.", float64(s.Disk))
	m.gauge("spool_memory_bytes", "Size of the spool in memory.", float64(s.Memory))
	m.gauge("spool_limit_bytes", "Size at which the oldest events are given up.", float64(s.Limit))
	m.counter("spool_appended_total", "Events put into the spool.", s.Appended)
	m.counter("spool_given_up_total", "Oldest events overwritten, whether wanted or not.", s.GivenUp)
	m.counter("spool_cut_total", "Events whose end was cut off because they were too long.", s.Cut)
	m.counter("spool_syncs_total", "Successful syncs of the spool.", s.Syncs)
	m.counter("spool_failures_total", "Failures of the spool's disk.", s.Failures)
}

func (m *metrics) sinks(sinks []Sink) {
	each := func(name, kind, help string, value func(*Sink) float64) {
		m.family(name, kind, help)
		for i := range sinks {
			m.sample(value(&sinks[i]), "sink", sinks[i].Name, "type", sinks[i].Type)
		}
	}
	each("sink_ok", "gauge", "1 if the sink delivers, 0 if not.", func(s *Sink) float64 { return truth(s.State == "ok") })
	each("sink_lag_events", "gauge", "Events in the spool that the sink does not have yet.", func(s *Sink) float64 { return float64(s.LagEvents) })
	each("sink_lag_seconds", "gauge", "Age of the oldest event that the sink does not have yet.", func(s *Sink) float64 { return s.LagSeconds })
	counter := func(name, help string, value func(*Sink) uint64) {
		m.family(name, "counter", help)
		for i := range sinks {
			m.count(value(&sinks[i]), "sink", sinks[i].Name, "type", sinks[i].Type)
		}
	}
	counter("sink_delivered_total", "Events delivered.", func(s *Sink) uint64 { return s.Delivered })
	counter("sink_unmatched_total", "Events that the sink did not ask for.", func(s *Sink) uint64 { return s.Unmatched })
	counter("sink_coalesced_total", "Accesses that were counted in an event repeated instead of delivered.", func(s *Sink) uint64 { return s.Coalesced })
	counter("sink_early_flushes_total", "Events repeated that came before their time, because too many kinds of accesses were counted.", func(s *Sink) uint64 { return s.EarlyFlushes })
	counter("sink_unparsed_total", "Events of IPE that could not be read.", func(s *Sink) uint64 { return s.Unparsed })
	counter("sink_skipped_total", "Entries that are no event to this version.", func(s *Sink) uint64 { return s.Skipped })
	counter("sink_overwritten_total", "Events overwritten before the sink got them.", func(s *Sink) uint64 { return s.Overwritten })
	counter("sink_gaps_total", "How often events were overwritten before the sink got them.", func(s *Sink) uint64 { return s.Gaps })
	counter("sink_retries_total", "Attempts to deliver that failed.", func(s *Sink) uint64 { return s.Retries })
	counter("sink_cursor_save_errors_total", "Failures to keep where the sink stands.", func(s *Sink) uint64 { return s.SaveErrors })
	m.ownCounters(sinks)
}

// ownCounters writes what sinks count of their own, each name once.
func (m *metrics) ownCounters(sinks []Sink) {
	written := make(map[string]bool)
	for i := range sinks {
		for _, c := range sinks[i].Counters {
			if !written[c.Name] {
				written[c.Name] = true
				m.family("sink_"+c.Name+"_total", "counter", c.Help)
				m.ownCounter(sinks, c.Name)
			}
		}
	}
}

// ownCounter writes the samples of one of them.
func (m *metrics) ownCounter(sinks []Sink, name string) {
	for i := range sinks {
		for _, c := range sinks[i].Counters {
			switch {
			case c.Name != name:
			case c.Label == "":
				m.count(c.Count, "sink", sinks[i].Name, "type", sinks[i].Type)
			default:
				m.count(c.Count, "sink", sinks[i].Name, "type", sinks[i].Type, c.Label, c.Value)
			}
		}
	}
}

// metrics writes metrics. A family is followed by its samples.
// https://prometheus.io/docs/instrumenting/exposition_formats/
type metrics struct {
	dst  []byte
	name string // of the family
}

func (m *metrics) counter(name, help string, n uint64) {
	m.family(name, "counter", help)
	m.count(n)
}

func (m *metrics) gauge(name, help string, v float64, labels ...string) {
	m.family(name, "gauge", help)
	m.sample(v, labels...)
}

func (m *metrics) family(name, kind, help string) {
	m.name = "ipe_auditd_" + name
	m.dst = fmt.Appendf(m.dst, "# HELP %s %s\n# TYPE %s %s\n", m.name, help, m.name, kind)
}

func (m *metrics) count(n uint64, labels ...string) {
	m.head(labels)
	m.dst = append(strconv.AppendUint(m.dst, n, 10), '\n')
}

func (m *metrics) sample(v float64, labels ...string) {
	m.head(labels)
	m.dst = append(strconv.AppendFloat(m.dst, v, 'f', -1, 64), '\n')
}

// head writes the name and the labels, which are names and values in turn.
func (m *metrics) head(labels []string) {
	m.dst = append(m.dst, m.name...)
	for i := 0; i+1 < len(labels); i += 2 {
		open := byte(',')
		if i == 0 {
			open = '{'
		}
		m.dst = fmt.Appendf(m.dst, `%c%s="%s"`, open, labels[i], escapeLabel(labels[i+1]))
	}
	if len(labels) > 0 {
		m.dst = append(m.dst, '}')
	}
	m.dst = append(m.dst, ' ')
}

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// WriteTextfile replaces the file at path by the metrics of st, for the textfile
// collector of node_exporter: readers see the old file or the new one, nothing
// between. All may read it. A file that a crash leaves is not *.prom, so it is not
// collected.
func WriteTextfile(path string, st *Status) error {
	if err := atomicfile.Write(atomicfile.OS{}, path, AppendMetrics(nil, st), 0o644, false); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
