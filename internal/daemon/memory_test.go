package daemon

import (
	"math"
	"testing"
	"testing/fstest"
)

// If this fails, a server in a container or a unit with a limit takes the memory of the
// whole machine for its own, and is killed under load.
func TestGroupMemory(t *testing.T) {
	const unit = "system.slice/tidemark.service"
	tests := []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no control groups", nil, math.MaxInt64},
		{"no limit", map[string]string{
			"proc/self/cgroup":                      "0::/" + unit + "\n",
			"sys/fs/cgroup/" + unit + "/memory.max": "max\n",
		}, math.MaxInt64},
		{"a unit", map[string]string{
			"proc/self/cgroup":                       "0::/" + unit + "\n",
			"sys/fs/cgroup/" + unit + "/memory.max":  "536870912\n",
			"sys/fs/cgroup/" + unit + "/memory.high": "400000000\n",
		}, 400_000_000},
		{"a slice", map[string]string{
			"proc/self/cgroup":                      "0::/" + unit + "\n",
			"sys/fs/cgroup/" + unit + "/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max": "1000000\n",
		}, 1_000_000},
		{"a container", map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 268_435_456},
		{"version 1", map[string]string{
			"proc/self/cgroup":                                        "5:devices:/\n4:memory:/" + unit + "\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":              "9223372036854771712\n",
			"sys/fs/cgroup/memory/" + unit + "/memory.limit_in_bytes": "300000000\n",
		}, 300_000_000},
		{"what is not understood", map[string]string{
			"proc/self/cgroup":         "\nx\n0::\n",
			"sys/fs/cgroup/memory.max": "a lot\n",
		}, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := groupMemory(root); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

// If this fails, the machine's memory is not known, and the caches of a small one are too
// large for it.
func TestUsableMemory(t *testing.T) {
	if got := usableMemory(); got < 16<<20 || got > 1<<50 {
		t.Errorf("%d octets", got)
	}
}
