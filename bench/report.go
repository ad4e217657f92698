package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tidemark/bench/peer"
)

// spread is what the rounds have given for one figure.
type spread struct{ median, least, most float64 }

func spreadOf(figures []figure, value func(figure) float64) spread {
	if len(figures) == 0 {
		return spread{}
	}
	values := make([]float64, len(figures))
	for i, f := range figures {
		values[i] = value(f)
	}
	slices.Sort(values)
	n := len(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

func (s spread) String() string {
	if s.least == s.most {
		return significant(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", significant(s.median), significant(s.least), significant(s.most))
}

func value(f figure) float64 { return f.Value }

// cpuEach and generatorEach are milliseconds for one operation.
func cpuEach(f figure) float64       { return milliseconds(f.CPU) / float64(max(f.Ops, 1)) }
func generatorEach(f figure) float64 { return milliseconds(f.Generator) / float64(max(f.Ops, 1)) }

func megabytes(f figure) float64 { return float64(f.Memory) / (1 << 20) }

// times says how many times better a is than b.
func times(r row, a, b float64) float64 {
	if r.higher {
		a, b = b, a
	}
	if a <= 0 || b <= 0 {
		return 0
	}
	return b / a
}

// verdict writes how many times better the first server is, and what it should be.
func verdict(times, goal float64) string {
	switch {
	case times == 0:
		return "–"
	case goal == 0:
		return significant(times) + "×"
	case times >= goal:
		return fmt.Sprintf("**%s×** (goal %s)", significant(times), significant(goal))
	}
	return fmt.Sprintf("%s× (goal %s)", significant(times), significant(goal))
}

// line is a row of the table.
func line(r *result, servers []*peer.Server) []string {
	cells := []string{r.row.name, r.row.unit}
	var values, cpus []float64
	var memory []string
	var generator float64
	for _, s := range servers {
		f := r.figures[s.Name]
		v, c := spreadOf(f, value), spreadOf(f, cpuEach)
		values, cpus = append(values, v.median), append(cpus, c.median)
		cells = append(cells, v.String())
		memory = append(memory, significant(spreadOf(f, megabytes).median))
		generator = max(generator, spreadOf(f, generatorEach).median)
	}
	if len(servers) == 2 {
		cells = append(cells, verdict(times(r.row, values[0], values[1]), r.row.goal))
	}
	for _, c := range cpus {
		cells = append(cells, significant(c))
	}
	if len(servers) == 2 {
		cells = append(cells, verdict(times(row{}, cpus[0], cpus[1]), r.row.cpuGoal))
	}
	return append(cells, significant(generator), cmp.Or(r.row.op, "–"), strings.Join(memory, " / "))
}

func heading(servers []*peer.Server) []string {
	cells := []string{"workload", "unit"}
	for _, s := range servers {
		cells = append(cells, s.Name)
	}
	if len(servers) == 2 {
		cells = append(cells, "times better")
	}
	for _, s := range servers {
		cells = append(cells, "CPU "+s.Name)
	}
	if len(servers) == 2 {
		cells = append(cells, "times less")
	}
	return append(cells, "CPU clients", "each", "memory, MB")
}

// summary is a result in one line, for who watches.
func summary(r *result, servers []*peer.Server) string {
	names, cells := heading(servers), line(r, servers)
	var parts []string
	for i := 2; i < len(cells); i++ {
		parts = append(parts, names[i]+" "+strings.ReplaceAll(cells[i], "**", ""))
	}
	return fmt.Sprintf("%s [%s]: %s", cells[0], cells[1], strings.Join(parts, ", "))
}

func writeTable(w io.Writer, results []*result, servers []*peer.Server) {
	names := heading(servers)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(names, " | "), strings.Repeat(" --- |", len(names)))
	for _, r := range results {
		fmt.Fprintf(w, "| %s |\n", strings.Join(line(r, servers), " | "))
	}
}

// machine is what a result is worth nothing without.
type machine struct {
	Date      string            `json:"date"`
	Processor string            `json:"processor"`
	CPUs      int               `json:"cpus"`
	Memory    string            `json:"memory"`
	Kernel    string            `json:"kernel"`
	Go        string            `json:"go"`
	Sync      string            `json:"sync"`
	Versions  map[string]string `json:"versions"`
	Command   string            `json:"command"`
}

func describe(o *options, servers []*peer.Server) (machine, error) {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 MST"), CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Processor: proc("cpuinfo", "model name"), Memory: proc("meminfo", "MemTotal"),
		Command: "bench " + strings.Join(os.Args[1:], " "), Versions: make(map[string]string),
	}
	for _, s := range servers {
		m.Versions[s.Name] = s.Version
	}
	// A working tree that git does not know has no commit to name.
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Versions["Tidemark"] += ", commit " + strings.TrimSpace(string(commit))
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel = strings.TrimSpace(string(release))
	d, err := syncTime(o.dir)
	m.Sync = d.Round(time.Microsecond).String()
	return m, err
}

// proc returns a value of a file of /proc that has lines of "name: value".
func proc(file, name string) string {
	data, err := os.ReadFile(filepath.Join("/proc", file))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// syncTime measures what no durable write can be faster than: to write 4 KB after the
// others and have them on the disk.
func syncTime(dir string) (d time.Duration, err error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var s stopwatch
	block := make([]byte, 4096)
	for range 200 {
		err := s.measure(func() error {
			_, err := f.Write(block)
			return errors.Join(err, f.Sync())
		})
		if err != nil {
			return 0, err
		}
	}
	return median(s.times), nil
}

// publish prints the table, and writes it and the figures to files.
func publish(o *options, b *bench, results []*result) error {
	m, err := describe(o, b.servers)
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Tidemark beside Dovecot\n\n")
	fmt.Fprintf(&text, "Made by `make bench-peers` (`%s`) on %s.\n\n", m.Command, m.Date)
	fmt.Fprintf(&text, "- machine: %d × %s, %s of memory, Linux %s; write and fsync of 4 KB: %s\n",
		m.CPUs, m.Processor, m.Memory, m.Kernel, m.Sync)
	for _, s := range b.servers {
		fmt.Fprintf(&text, "- %s %s\n", s.Name, m.Versions[s.Name])
	}
	fmt.Fprintf(&text, "- %d rounds in turn, %s messages in the big mailbox\n\n", o.rounds, number(o.messages))
	text.WriteString("Each figure is the median of the rounds, with the least and the most. CPU is in ms for each\n" +
		"operation named under \"each\"; memory is the sum of PSS after the workload. Goals that are met are bold.\n" +
		"NOTES.md tells how it is measured.\n\n")
	writeTable(&text, results, b.servers)
	fmt.Print(text.String())
	if o.out == "" {
		return nil
	}
	data, err := encode(m, results)
	return errors.Join(err,
		os.WriteFile(o.out, []byte(text.String()), 0o644),
		os.WriteFile(strings.TrimSuffix(o.out, filepath.Ext(o.out))+".json", data, 0o644))
}

func encode(m machine, results []*result) ([]byte, error) {
	type entry struct {
		Workload string              `json:"workload"`
		Name     string              `json:"name"`
		Unit     string              `json:"unit"`
		Higher   bool                `json:"higher_is_better"`
		Figures  map[string][]figure `json:"figures"`
	}
	out := struct {
		Machine machine `json:"machine"`
		Results []entry `json:"results"`
	}{Machine: m}
	for _, r := range results {
		out.Results = append(out.Results, entry{r.workload, r.row.name, r.row.unit, r.row.higher, r.figures})
	}
	data, err := json.MarshalIndent(out, "", "  ")
	return append(data, '\n'), err
}
