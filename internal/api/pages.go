package api

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// handler answers requests.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /healthz", s.serveHealth)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "no such page; there are /events, /status, /metrics and /healthz")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.ContentLength != 0:
			answer(w, http.StatusBadRequest, "a request has no body here")
		case r.URL.Path != "/events" && r.URL.RawQuery != "":
			answer(w, http.StatusBadRequest, "only /events takes parameters")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	if st := s.ask(w, r); st != nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(st) // the client may be gone
	}
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if st := s.ask(w, r); st != nil {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(AppendMetrics(nil, st)) // the client may be gone
	}
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	st := s.ask(w, r)
	switch {
	case st == nil:
	case st.Healthy:
		answer(w, http.StatusOK, "healthy")
	default:
		answer(w, http.StatusServiceUnavailable, strings.Join(st.Reasons, "\n"))
	}
}

// answer answers with text.
func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // the client may be gone
}

// answerLater says that there is no answer now.
func answerLater(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "10")
	answer(w, http.StatusServiceUnavailable, text)
}
