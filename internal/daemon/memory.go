package daemon

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// usableMemory returns the memory in octets that the server can have: that of the machine,
// or the least limit of the control groups that it is in.
func usableMemory() int64 {
	memory := int64(math.MaxInt64)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		memory = int64(info.Totalram) * int64(info.Unit)
	}
	return min(memory, groupMemory(os.DirFS("/")))
}

// memoryFiles has for each version of control groups where their memory is limited.
var memoryFiles = map[string]struct {
	mount string
	files []string
}{
	"":       {"sys/fs/cgroup", []string{"memory.max", "memory.high"}},
	"memory": {"sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}},
}

// groupMemory returns the least limit of this process's control groups and those that they
// are in, or math.MaxInt64. Within a container the groups outside cannot be seen; there
// the mount is the container's own group.
func groupMemory(root fs.FS) int64 {
	memory := int64(math.MaxInt64)
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return memory
	}
	for lines := bufio.NewScanner(bytes.NewReader(groups)); lines.Scan(); {
		// Each line is ID:controllers:path, as in cgroups(7).
		fields := strings.SplitN(lines.Text(), ":", 3)
		if len(fields) < 3 {
			continue
		}
		where, ok := memoryFiles[fields[1]]
		for group := path.Clean("/" + fields[2]); ok; group = path.Dir(group) {
			for _, file := range where.files {
				memory = min(memory, readLimit(root, path.Join(where.mount, group, file)))
			}
			ok = group != "/"
		}
	}
	return memory
}

// readLimit reads a limit, math.MaxInt64 if there is none.
func readLimit(root fs.FS, file string) int64 {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil { // "max"
		return math.MaxInt64
	}
	return n
}

// leastMemoryLimit is what the server needs to work at all without collecting garbage
// most of the time.
const leastMemoryLimit = 64 << 20

// limitMemory lets the runtime collect garbage earlier when half of the memory is in use.
// The other half is for the system, which keeps in it the files that are read. What the
// operator has asked for goes first.
func limitMemory(memory int64) {
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(max(memory/2, leastMemoryLimit))
	}
}
