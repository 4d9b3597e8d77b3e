//go:build linux

package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// testDisk mounts a disk, or skips the test where that can't be done.
func testDisk(t *testing.T) *disk {
	t.Helper()
	d, err := newDisk(filepath.Join(t.TempDir(), "disk"), 1<<20)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func syncFolder(t *testing.T, name string) {
	t.Helper()
	folder, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerFailure keeps what was fsynced, and of the rest what the seed says, for many seeds.
func TestPowerFailure(t *testing.T) {
	d := testDisk(t)
	outcomes := map[string]int{}
	for seed := range uint64(200) {
		name := filepath.Join(d.folder, "file")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		write := func(text string) {
			if _, err := file.WriteString(text); err != nil {
				t.Fatal(err)
			}
		}
		write("kept ")
		if err := file.Sync(); err != nil {
			t.Fatal(err)
		}
		syncFolder(t, d.folder)
		write("lost")
		if err := os.WriteFile(filepath.Join(d.folder, "other"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name, filepath.Join(d.folder, "renamed")); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		if unsynced, _ := d.losePower(rand.New(rand.NewPCG(seed, 0))); unsynced == 0 {
			t.Fatal("nothing was to be lost")
		}
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			data, err = os.ReadFile(filepath.Join(d.folder, "renamed"))
			data = append([]byte("renamed: "), data...)
		}
		if err != nil {
			t.Fatalf("the file is gone: %v", err)
		}
		outcomes[string(data)]++
		for _, left := range []string{"file", "other", "renamed"} {
			_ = os.Remove(filepath.Join(d.folder, left))
		}
		syncFolder(t, d.folder)
	}
	for _, want := range []string{"kept ", "kept lost", "renamed: kept ", "renamed: kept lost"} {
		if outcomes[want] == 0 {
			t.Errorf("never %q: %v", want, outcomes)
		}
		delete(outcomes, want)
	}
	if len(outcomes) > 0 {
		t.Errorf("what was fsynced is wrong: %v", outcomes)
	}
}

// TestFailedSync fails an fsync: what it was for can be read until the power fails, whatever is fsynced behind it.
func TestFailedSync(t *testing.T) {
	d := testDisk(t)
	name := filepath.Join(d.folder, "file")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	syncFolder(t, d.folder)
	if _, err := file.WriteString("first "); err != nil {
		t.Fatal(err)
	}
	d.failNextSyncs(1)
	if err := file.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("%v, want %v", err, syscall.EIO)
	}
	if _, err := file.WriteString("second"); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first second", "\x00\x00\x00\x00\x00\x00second"} {
		if data, err := os.ReadFile(name); err != nil || string(data) != want {
			t.Errorf("%q, %v, want %q", data, err, want)
		}
		d.losePower(rand.New(rand.NewPCG(1, 1)))
	}
}

// TestFullDisk refuses what needs new blocks, and nothing else. What is removed makes room.
func TestFullDisk(t *testing.T) {
	d := testDisk(t)
	reserve := filepath.Join(d.folder, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(d.folder, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := syscall.Fallocate(int(file.Fd()), 0, 0, 8192); err != nil {
		t.Fatal(err)
	}
	d.fill(1<<20, 0)
	if _, err := file.WriteAt(make([]byte, 8192), 0); err != nil {
		t.Errorf("there are blocks for this: %v", err)
	}
	if _, err := file.WriteAt([]byte("x"), 8192); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want %v", err, syscall.ENOSPC)
	}
	if err := os.Remove(reserve); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("x"), 8192); err != nil {
		t.Errorf("there is room again: %v", err)
	}
	if _, refused := d.counts(); refused != 1 {
		t.Errorf("%d requests were refused, want 1", refused)
	}
}
