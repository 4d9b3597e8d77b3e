package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/logbatcher/logbatcher/schema/settings"
)

func TestCapacity(t *testing.T) {
	tests := []struct {
		limit           settings.Size
		cores           int
		shards, streams int
	}{
		{256 * settings.MiB, 2, 2, 7},
		{512 * settings.MiB, 2, 2, 52},
		{settings.GiB, 4, 4, 143},
		{8 * settings.GiB, 16, 4, 1418},
		{1024 * settings.GiB, 16, 4, 10000},
		{0, 1, 1, 1},
	}
	for _, test := range tests {
		c := Default()
		p := c.capacity(test.limit, "test", test.cores)
		if p.Shards != test.shards || p.MaxStreams != test.streams {
			t.Errorf("%v: got %+v", test.limit, p)
		}
		if fits := len(c.checkMemory(p)) == 0; fits != (test.limit > 0) {
			t.Errorf("%v: fits: %v", test.limit, fits)
		}
		if p.RuntimeLimit() > p.Limit || test.limit > 0 && p.RuntimeLimit() < p.Need {
			t.Errorf("%v: the runtime's limit is %v of %+v", test.limit, p.RuntimeLimit(), p)
		}
	}
}

func TestSystemLimit(t *testing.T) {
	write := func(root, name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const machine = "MemTotal:       8388608 kB\nMemFree: 1 kB\n"
	tests := []struct {
		files map[string]string
		limit settings.Size
		from  string
	}{
		{map[string]string{}, settings.GiB, "the machine"},
		{map[string]string{"proc/meminfo": machine}, 8 * settings.GiB, "the machine"},
		{map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max": "536870912\n"}, 512 * settings.MiB, "the cgroup"},
		{map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 256 * settings.MiB, "the cgroup"},
		{map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "5:cpu:/x\n4:memory:/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1073741824\n"}, settings.GiB, "the cgroup"},
		{map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8 * settings.GiB, "the machine"},
	}
	for i, test := range tests {
		root := t.TempDir()
		for name, text := range test.files {
			write(root, name, text)
		}
		if limit, from := systemLimit(root); limit != test.limit || from != test.from {
			t.Errorf("%d: got %v from %s", i, limit, from)
		}
	}
}
