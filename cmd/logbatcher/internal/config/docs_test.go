package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema/settings"
)

// The places in the pages where settings, their variables and their defaults are named.
var (
	documentedPath     = regexp.MustCompile(`\x60([a-z_]+(?:\.[a-z_]+)+)\x60`)
	documentedFlag     = regexp.MustCompile(`--set ([a-z_]+(?:\.[a-z_]+)+)`)
	documentedVariable = regexp.MustCompile(`\bLOGBATCHER_[A-Z_]+`)
	// "`max_bytes` (default 1 GiB", "30 s (`clickhouse.hold_backoff`)"
	defaultBehind = regexp.MustCompile("`([a-z_.]+)` \\(default:? `?([^`,;)]+)")
	defaultBefore = regexp.MustCompile("([0-9.]+ ?(?:ms|s|m|h|d|KiB|MiB|GiB|minutes?|hours?|days?)) \\(`([a-z_.]+)`\\)")
)

// TestDocumentedSettings reads settings, variables, flags and defaults out of all pages and compares them with the program's.
func TestDocumentedSettings(t *testing.T) {
	defaults, sections, variables := map[string]string{}, map[string]bool{}, map[string]bool{}
	for _, s := range settings.All(Default()) {
		defaults[s.Path] = textOf(s)
		variables[variable(s)] = true
		for parent := parentPath(s.Path); parent != ""; parent = parentPath(parent) {
			sections[parent] = true
		}
	}
	route := defaultRoute()
	elements := map[string]string{ // of a route, by the names that the pages use
		"retention.max_age": settings.FormatDuration(route.Retention.MaxAge), "retention.interval": "1d", "retention.column": "", "retention.precise": "true",
	}
	names, err := filepath.Glob("../../../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range append(names, "../../../../README.md") {
		if base := filepath.Base(name); base == "decisions.md" || base == "chaos.md" { // which says what was, and has names of faults
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text, page := string(data), filepath.Base(name)
		for _, match := range slices.Concat(documentedPath.FindAllStringSubmatch(text, -1), documentedFlag.FindAllStringSubmatch(text, -1)) {
			path := match[1]
			section, _, _ := strings.Cut(path, ".")
			_, known := defaults[path]
			_, ofRoute := elements[path]
			if checked++; sections[section] && !known && !ofRoute && !sections[path] {
				t.Errorf("%s: there is no setting %s", page, path)
			}
		}
		for _, variable := range documentedVariable.FindAllString(text, -1) {
			if checked++; !variables[variable] && !isForeign(variable) && !serviceLink.MatchString(variable+"=tcp://10.0.0.1:1") && !serviceLink.MatchString(variable+"=10") {
				t.Errorf("%s: there is no variable %s", page, variable)
			}
		}
		compare := func(name, written string) {
			for path, value := range defaults {
				if (path == name || strings.HasSuffix(path, "."+name)) && sameValue(value, written) {
					checked++
					return
				}
			}
			for path, value := range defaults {
				if path == name || strings.HasSuffix(path, "."+name) {
					t.Errorf("%s: the default of %s is %s, not %s", page, path, value, written)
				}
			}
		}
		for _, match := range defaultBehind.FindAllStringSubmatch(text, -1) {
			compare(match[1], match[2])
		}
		for _, match := range defaultBefore.FindAllStringSubmatch(text, -1) {
			compare(match[2], match[1])
		}
	}
	if checked < 10 {
		t.Errorf("only %d names were found in the pages", checked)
	}
}

// sameValue compares a default with how a page writes it.
func sameValue(value, written string) bool {
	written = strings.TrimSpace(written)
	for long, short := range map[string]string{" minutes": "m", " minute": "m", " hours": "h", " hour": "h", " days": "d", " day": "d", " s": "s", " ms": "ms"} {
		if number, is := strings.CutSuffix(written, long); is {
			written = number + short
			break
		}
	}
	if value == written || strings.Trim(value, `"`) == strings.Trim(written, `"`) {
		return true
	}
	d, errD := settings.ParseDuration(value)
	w, errW := settings.ParseDuration(written)
	if errD == nil && errW == nil {
		return d == w && d >= time.Duration(0)
	}
	var size, writtenSize settings.Size
	return size.UnmarshalText([]byte(value)) == nil && writtenSize.UnmarshalText([]byte(written)) == nil && size == writtenSize
}

// textOf returns a setting's value as a page writes it.
func textOf(f settings.Field) string {
	if d, isDuration := f.Value.Interface().(time.Duration); isDuration {
		return settings.FormatDuration(d)
	}
	return fmt.Sprint(f.Value)
}
