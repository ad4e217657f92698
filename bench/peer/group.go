package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// group is the processes of one server: a control group of their own where the machine
// lets us make one, which counts to the nanosecond, and else the tree below the first.
type group struct {
	dir   string // the control group; empty for none
	usage func(dir string) (time.Duration, error)
	root  int
}

// hierarchies are the places of control groups that count processor time: version 2, and
// the cpuacct controller of version 1.
var hierarchies = []struct {
	mount string
	usage func(dir string) (time.Duration, error)
}{
	{"/sys/fs/cgroup/unified", usageV2},
	{"/sys/fs/cgroup/cpuacct", usageV1},
	{"/sys/fs/cgroup", usageV2},
}

// newGroup makes a control group where it can, in the first hierarchy that counts.
func newGroup(name string) *group {
	for _, h := range hierarchies {
		dir := filepath.Join(h.mount, fmt.Sprintf("tidemark-bench-%d-%s", os.Getpid(), strings.ToLower(name)))
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		if _, err := h.usage(dir); err != nil {
			os.Remove(dir)
			continue
		}
		return &group{dir: dir, usage: h.usage}
	}
	return &group{}
}

// command returns a command that runs in the group from its first moment on.
func (g *group) command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	if g.dir != "" {
		enter := `echo $$ >"$0/cgroup.procs" && exec "$@"`
		cmd = exec.Command("/bin/sh", append([]string{"-c", enter, g.dir}, args...)...)
	}
	// Ctrl-C is for the generator, which then ends the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// remove removes the group once its last process has ended.
func (g *group) remove() error {
	if g.dir == "" {
		return nil
	}
	deadline := time.Now().Add(stopLimit)
	for {
		err := os.Remove(g.dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond) // there is nothing that tells when
	}
}

func usageV2(dir string) (time.Duration, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(data) {
		if v, ok := bytes.CutPrefix(line, []byte("usage_usec ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
			return time.Duration(n) * time.Microsecond, err
		}
	}
	return 0, errors.New("cpu.stat without usage_usec")
}

func usageV1(dir string) (time.Duration, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cpuacct.usage"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
	return time.Duration(n), err
}

func (g *group) cpu() (time.Duration, error) {
	if g.dir != "" {
		return g.usage(g.dir)
	}
	var total time.Duration
	for _, p := range tree(g.root) {
		total += p.cpu
	}
	return total, nil
}

func (g *group) pids() ([]int, error) {
	var pids []int
	if g.dir == "" {
		for _, p := range tree(g.root) {
			pids = append(pids, p.pid)
		}
		return pids, nil
	}
	data, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, err
}

func (g *group) memory() (int64, error) {
	pids, err := g.pids()
	if err != nil {
		return 0, err
	}
	var total int64
	for _, pid := range pids {
		// A process that has ended meanwhile has no memory.
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err == nil {
			total += pss(data)
		}
	}
	return total, nil
}

func pss(rollup []byte) int64 {
	for line := range bytes.Lines(rollup) {
		if f := bytes.Fields(line); len(f) >= 2 && string(f[0]) == "Pss:" {
			n, _ := strconv.ParseInt(string(f[1]), 10, 64) // what the kernel writes is a number
			return n << 10
		}
	}
	return 0
}

// process is what /proc/PID/stat says of a process and the children it has waited for.
type process struct {
	pid, parent int
	cpu         time.Duration
}

// tick is the unit of times in /proc, the same on all of Linux's machines.
const tick = 10 * time.Millisecond

// tree returns the process root and all below it.
func tree(root int) []process {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	all := make(map[int]process)
	for _, file := range stats {
		if data, err := os.ReadFile(file); err == nil {
			if p, ok := parseStat(string(data)); ok {
				all[p.pid] = p
			}
		}
	}
	var below []process
	for _, p := range all {
		for q := p.pid; q > 1; q = all[q].parent {
			if q == root {
				below = append(below, p)
				break
			}
		}
	}
	return below
}

// parseStat takes apart a line of proc(5). The name in parentheses may hold anything.
func parseStat(line string) (p process, ok bool) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return p, false
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 15 {
		return p, false
	}
	pid, _, _ := strings.Cut(line, " ")
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		ok = ok && err == nil
		return n
	}
	ok = true
	p.pid, p.parent = number(pid), number(fields[1])
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		p.cpu += time.Duration(number(f)) * tick
	}
	return p, ok
}
