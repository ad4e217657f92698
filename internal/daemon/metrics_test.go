package daemon

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const metricsPage = "../../docs/metrics.md"

// desc is the text of a prometheus.Desc, which has no other way to be asked.
var desc = regexp.MustCompile(`^Desc{fqName: "(tidemark_\w+)", help: "(.*?)",.* constLabels: {}, variableLabels: {(.*)}}$`)

// describe returns a row for each metric of ours in the registry, by name.
func describe(r *prometheus.Registry) []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	var rows []string
	for d := range descs {
		if m := desc.FindStringSubmatch(d.String()); m != nil {
			labels := strings.ReplaceAll(m[3], ",", ", ")
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", m[1], labels, m[2]))
		}
	}
	slices.Sort(rows)
	return rows
}

// If this fails, the page of metrics is not what the server has to tell.
// "go test ./internal/daemon -run MetricsPage -update" repairs it.
func TestMetricsPage(t *testing.T) {
	c := testConfig(t)
	s := &server{o: Options{Config: c}, registry: newRegistry()}
	s.log, s.level = newLogger(io.Discard, c.Log)
	var err error
	if s.outside, err = openOutside(c, s.log, s.registry); err != nil {
		t.Fatal(err)
	}
	defer s.outside.close()
	if s.storage, err = openStorage(c, storageOptions{Logger: s.log, Registerer: s.registry}); err != nil {
		t.Fatal(err)
	}
	defer s.storage.Close()
	if err := s.build(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	const begin = "| --- | --- | --- |\n"
	head, rest, found := strings.Cut(string(old), begin)
	_, tail, end := strings.Cut(rest, "\n\n")
	if !found || !end {
		t.Fatalf("%s has no table", metricsPage)
	}
	page := []byte(head + begin + strings.Join(describe(s.registry), "\n") + "\n\n" + tail)
	if *update {
		if err := os.WriteFile(metricsPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(page, old) {
		t.Errorf("%s is stale; run: go test ./internal/daemon -run MetricsPage -update", metricsPage)
	}
}
