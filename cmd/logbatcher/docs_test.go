package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

// pages are what people read, by their names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) != "decisions.md" { // which says what was
			texts[filepath.Base(name)] = string(text)
		}
	}
	return texts
}

// metricDescription is how the Prometheus client writes a description.
var metricDescription = regexp.MustCompile(`^Desc\{fqName: "([a-z0-9_]+)", help: "(.*?)"(?:, unit: ".*")?, constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// ownMetrics returns all metrics of a gateway, also those that have no value before something happens: name, labels and help.
func ownMetrics(t *testing.T) map[string][2]string {
	t.Helper()
	c := config.Default()
	c.WAL.Dir = t.TempDir()
	g, err := newGateway(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		g.registry.Describe(descriptions)
	}()
	metrics := map[string][2]string{}
	for d := range descriptions {
		parts := metricDescription.FindStringSubmatch(d.String())
		if parts == nil {
			t.Errorf("can't read %s", d)
		} else if strings.HasPrefix(parts[1], "logbatcher_") {
			labels := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(parts[3], "") + "," + parts[4]
			metrics[parts[1]] = [2]string{strings.ReplaceAll(strings.Trim(labels, ","), ",", ", "), parts[2]}
		}
	}
	return metrics
}

// TestMetricsAreDocumented compares the table of docs/metrics.md with what a gateway exports, row for row.
func TestMetricsAreDocumented(t *testing.T) {
	var want strings.Builder
	metrics := ownMetrics(t)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range metrics {
			if !yield(name) {
				return
			}
		}
	}) {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", name, metrics[name][0], metrics[name][1])
	}
	if page := pages(t)["metrics.md"]; !strings.Contains(page, "\n|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("docs/metrics.md has another table; it should be:\n%s", want.String())
	}
}

// TestDocumentedNames reads metrics, keys in Redis and command lines out of all pages: what is named there is there.
func TestDocumentedNames(t *testing.T) {
	metrics := ownMetrics(t)
	stream := config.Default().DeadLetters.Stream
	root := newRootCommand()
	for page, text := range pages(t) {
		for _, name := range regexp.MustCompile(`\blogbatcher_[a-z0-9_]+`).FindAllString(text, -1) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			isPrefix := strings.HasSuffix(name, "_") || slices.ContainsFunc(keys(metrics), func(m string) bool { return strings.HasPrefix(m, name+"_") })
			if _, known := metrics[name]; !known && !isPrefix && metrics[base] == [2]string{} {
				t.Errorf("%s: there is no metric %s", page, name)
			}
		}
		for _, key := range regexp.MustCompile(`\blogbatcher:[a-zA-Z_:-]+`).FindAllString(text, -1) {
			if !strings.HasPrefix(key, stream) && !strings.HasPrefix(key, "logbatcher:lease:") && !strings.HasPrefix("logbatcher:lease:", key) &&
				key != "logbatcher:producers" {
				t.Errorf("%s: there is no key %s in Redis; the stream is %s", page, key, stream)
			}
		}
		for _, line := range regexp.MustCompile(`(?m)(?:^ *|\x60|bin/)logbatcher ([a-z]+(?: [a-z]+)?[^\n\x60#]*)`).FindAllStringSubmatch(text, -1) {
			if problem := checkCommandLine(root, strings.Fields(line[1])); problem != "" {
				t.Errorf("%s: %q: %s", page, line[0], problem)
			}
		}
	}
}

func keys[V any](m map[string]V) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// checkCommandLine says what is wrong with the command and the flags of a line in the docs.
func checkCommandLine(root *cobra.Command, words []string) string {
	command, rest, err := root.Find(words)
	if err != nil || command == root || command.HasSubCommands() && len(rest) > 0 {
		return "there is no such command"
	}
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		name = strings.TrimRight(name, ".,;:)]")
		if isFlag && name != "" && command.Flags().Lookup(name) == nil && name != "help" {
			return "there is no flag --" + name
		}
	}
	return ""
}

// TestDefaultsHaveOneHome compares what the service gives its parts, by default, with the parts' own defaults.
func TestDefaultsHaveOneHome(t *testing.T) {
	cfg := config.Default()
	g := &gateway{config: cfg, keyring: newKeyring(cfg, slog.Default(), prometheus.NewRegistry())}
	served := g.serverConfig()
	wantServed := server.DefaultConfig()
	// Bounds by memory are chosen for the machine; the rest is not an operator's.
	wantServed.MaxStreams, wantServed.MaxConnections = served.MaxStreams, served.MaxConnections
	wantServed.Instance, wantServed.Log, wantServed.Registerer, wantServed.Gate = served.Instance, served.Log, served.Registerer, served.Gate
	for _, test := range []struct {
		part      string
		got, want any
	}{
		{"server", served, wantServed},
		{"delivery", cfg.ClickHouse.Delivery(), sink.DefaultDeliveryConfig()},
		{"dead letters", cfg.DeadLetters, deadletter.DefaultConfig()},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("%s: the service's default is\n%+v\nthe package's is\n%+v", test.part, test.got, test.want)
		}
	}
}

// TestLinks follows the links between the pages, to files and headings.
func TestLinks(t *testing.T) {
	texts := pages(t)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for page, text := range texts {
		folder := "../../docs"
		if page == "README.md" {
			folder = "../.."
		}
		for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(link[1], "#")
			target := texts[filepath.Base(file)]
			if file == "" {
				target = text
			} else if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, link[1])
			}
			found := anchor == "" || slices.ContainsFunc(heading.FindAllStringSubmatch(target, -1), func(h []string) bool {
				plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
				return strings.ReplaceAll(plain, " ", "-") == anchor
			})
			if !found {
				t.Errorf("%s: %s leads to no heading", page, link[1])
			}
		}
	}
}
