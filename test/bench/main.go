package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// measurements in the order of the table. A new one is one line here.
var measurements = []struct {
	name    string
	measure func(*bench) error
}{
	{"receive", measureReceive},
	{"sinks", measureSinks},
	{"pipeline", measurePipeline},
	{"flood", measureFlood},
	{"latency", measureLatency},
	{"rates", measureRates},
	{"growth", measureGrowth},
	{"clients", measureClients},
	{"hosts", measureHosts},
	{"quiet", measureQuiet},
	{"memory", measureMemory},
	{"readers", measureReaders},
	{"start", measureStart},
}

// bench is one run of the measurements.
type bench struct {
	dir     string  // for everything that is written
	size    float64 // how many records, relative to the usual
	rounds  int     // of runs that are compared
	profile string  // folder for profiles of the daemon; empty: none
	rows    []row
	curves  []curve
}

// row is one line of the table.
type row struct{ what, result, beside string }

func (b *bench) add(what, result, beside string) {
	b.rows = append(b.rows, row{what, result, beside})
	fmt.Fprintf(os.Stderr, "%s: %s (%s)\n", what, result, beside)
}

// records scales a number of records.
func (b *bench) records(n int) int { return max(int(float64(n)*b.size), 1) }

func main() {
	if role, ok := roles[os.Getenv(roleEnv)]; ok {
		if err := role(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Getenv(roleEnv), err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	b := &bench{}
	only := flag.String("run", "", "what to measure, separated by commas: "+strings.Join(names, ", "))
	flag.Float64Var(&b.size, "size", 1, "number of records, relative to the usual")
	flag.IntVar(&b.rounds, "rounds", 5, "runs of what is compared; the least counts")
	flag.StringVar(&b.profile, "profile", "", "write profiles (cpu, allocs, block) of the last daemon that ran into this folder")
	pictures := flag.String("svg", "", "draw what grows with what into this folder")
	flag.Parse()
	wanted := names
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-run %s: there is only %s", name, strings.Join(names, ", "))
		}
	}
	if os.Getenv(namespaceEnv) == "" {
		return inNamespace()
	}
	var err error
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for _, m := range measurements {
		if !slices.Contains(wanted, m.name) {
			continue
		}
		if err := m.measure(b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	b.print()
	if *pictures != "" {
		return b.draw(*pictures)
	}
	return nil
}

// namespaceEnv is set in the process that has its own network namespace.
const namespaceEnv = "IPE_AUDITD_BENCH_NAMESPACE"

// inNamespace runs this program again in a network namespace of its own.
func inNamespace() error {
	// The child must end with us, and not by the same Ctrl-C before us.
	signal.Ignore(syscall.SIGINT)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), namespaceEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("needs root, for a network namespace of its own: %w", err)
	}
	return err
}

// print writes the table.
func (b *bench) print() {
	fmt.Printf("Measured %s on %s.\n\n", time.Now().Format(time.DateOnly), machine())
	fmt.Println("| what | result | beside it, in the same run |")
	fmt.Println("|---|---|---|")
	for _, r := range b.rows {
		fmt.Printf("| %s | %s | %s |\n", r.what, r.result, r.beside)
	}
}

// machine says what this is.
func machine() string {
	model := "an unknown processor"
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(cpuinfo)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	return fmt.Sprintf("%s, %d CPUs, Linux %s, %s", model, runtime.NumCPU(), unix.ByteSliceToString(uts.Release[:]), runtime.Version())
}
