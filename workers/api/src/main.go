// api: a JSON worker in Go, standard library only; copy it and begin.
//
// It listens where it is told, answers /health, logs one JSON line per request, and on SIGTERM finishes what it has
// begun. GOMEMLIMIT and GOMAXPROCS come from worker.yaml (runtime.go_mem_limit, runtime.go_max_procs).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const maxBody = 64 << 10 // bytes: an echo is small

type fields map[string]any

// record writes one line of JSON; the journal takes <N> as its priority and removes it (sd-daemon(3)).
func record(priority int, message string, more fields) {
	more["message"] = message
	text, _ := json.Marshal(more)
	fmt.Fprintf(os.Stderr, "<%d>%s\n", priority, text)
}

func answer(w http.ResponseWriter, r *http.Request, status int, value any) {
	record(6, "request", fields{"method": r.Method, "path": r.URL.Path, "status": status})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that has gone is no error of ours
}

// links are below the prefix under which the client reaches us, which is not the path that we see.
func index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		answer(w, r, http.StatusNotFound, fields{"error": "not found"})
		return
	}
	prefix := r.Header.Get("X-Forwarded-Prefix")
	if prefix == "" {
		prefix = os.Getenv("WORKER_ROUTE")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	links := []string{prefix + "/echo", prefix + "/slow"}
	answer(w, r, http.StatusOK, fields{"go": runtime.Version(), "pid": os.Getpid(), "links": links})
}

func echo(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		answer(w, r, http.StatusMethodNotAllowed, fields{"error": "POST a JSON value"})
		return
	}
	var value any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&value); err != nil {
		answer(w, r, http.StatusBadRequest, fields{"error": err.Error()})
		return
	}
	answer(w, r, http.StatusOK, fields{"echo": value})
}

func health(w http.ResponseWriter, r *http.Request) {
	answer(w, r, http.StatusOK, fields{"status": "ok"})
}

func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(time.Second) // a restart meanwhile loses nothing
	health(w, r)
}

func listen() (net.Listener, error) {
	path := os.Getenv("WORKER_SOCKET")
	if path == "" {
		return net.Listen("tcp", net.JoinHostPort("127.0.0.1", os.Getenv("WORKER_PORT")))
	}
	_ = os.Remove(path) // left by a crash
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o660) // the folder's group is the router's
	}
	return listener, err
}

func run() error {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	listener, err := listen()
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/", index)
	routes.HandleFunc("/echo", echo)
	routes.HandleFunc("/health", health)
	routes.HandleFunc("/slow", slow)
	server := &http.Server{ // IdleTimeout beyond the router's timeouts.idle (120 s): the requesting side closes first
		Handler: routes, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 150 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	done := make(chan error, 1)
	go func() {
		<-stop.Done()
		done <- server.Shutdown(context.Background()) // waits for the requests in flight; timeouts.stop bounds it
	}()
	record(6, "listening", fields{"address": listener.Addr().String()})
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return <-done
}

func main() {
	if err := run(); err != nil {
		record(3, "failed", fields{"error": err.Error()})
		os.Exit(1)
	}
	record(6, "stopped", fields{})
}
