//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build builds the service's program. With clock, its clock can be stepped: the program is compiled with a package time whose Now adds
// what stepClock says, because the machine's clock is everybody's.
func build(ctx context.Context, folder string, clock bool) (string, error) {
	program := filepath.Join(folder, "logbatcher")
	arguments := []string{"build", "-trimpath", "-o", program}
	if clock {
		overlay, err := writeOverlay(ctx, folder)
		if err != nil {
			return "", fmt.Errorf("build the service with a clock of its own: %w", err)
		}
		arguments = append(arguments, "-overlay", overlay)
	}
	if err := goCommand(ctx, append(arguments, servicePackage)...).Run(); err != nil {
		return "", fmt.Errorf("build the service: %w", err)
	}
	return program, nil
}

const servicePackage = "github.com/logbatcher/logbatcher/cmd/logbatcher"

// goCommand is a command of the go tool. What it complains about goes to standard error.
func goCommand(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	return command
}

// clockVariable names the file with the seconds by which the clock of a gateway is wrong.
const clockVariable = "CHAOS_CLOCK"

// The files that the overlay adds to the packages time and main.
const (
	timeFile = `package time

import "sync/atomic"

var step atomic.Int64

// Step has Now add so many seconds.
func Step(seconds int64) { step.Store(seconds) }
`
	mainFile = `package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func init() {
	file, set := os.LookupEnv("` + clockVariable + `")
	if !set {
		return
	}
	read := func(before int64) int64 {
		text, _ := os.ReadFile(file)
		seconds, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return before
		}
		if seconds != before {
			time.Step(seconds)
			fmt.Fprintf(os.Stderr, "` + clockStepped + ` seconds=%d\n", seconds)
		}
		return seconds
	}
	seconds := read(0)
	go func() {
		for {
			time.Sleep(20 * time.Millisecond)
			seconds = read(seconds)
		}
	}()
}
`
	now        = "\tsec, nsec, mono := runtimeNow()\n"
	nowStepped = now + "\tsec += step.Load()\n"
)

// writeOverlay writes the changed files, and the file that tells the compiler of them.
func writeOverlay(ctx context.Context, folder string) (string, error) {
	command := goCommand(ctx, "list", "-f", "{{.Dir}}", "time", servicePackage)
	output, err := command.Output()
	if err != nil {
		return "", err
	}
	folders := strings.Fields(string(output))
	if len(folders) != 2 {
		return "", fmt.Errorf("go list says %q", output)
	}
	original := filepath.Join(folders[0], "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	if strings.Count(string(text), now) != 1 {
		return "", errors.New("this version of Go has another time.Now")
	}
	replaced := map[string]string{}
	for target, text := range map[string]string{
		original:                                 strings.Replace(string(text), now, nowStepped, 1),
		filepath.Join(folders[0], "step.go"):     timeFile,
		filepath.Join(folders[1], "stepping.go"): mainFile,
	} {
		file := filepath.Join(folder, "overlay-"+filepath.Base(target))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", err
		}
		replaced[target] = file
	}
	overlay := filepath.Join(folder, "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	return overlay, os.WriteFile(overlay, data, 0o600)
}
