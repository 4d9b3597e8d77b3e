package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/logbatcher/logbatcher/"

// TestImportDirections keeps imports pointing one way: what each folder's packages may import of the project.
func TestImportDirections(t *testing.T) {
	allowed := map[string][]string{
		"api":      {"api"},
		"schema":   {},
		"sink":     {"schema", "sink"},
		"shard":    {"sink", "schema"},
		"server":   {"api", "schema"},
		"wal":      {"schema"},
		"client":   {"api", "wal"},
		"embedded": {"embedded"},
	}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if base := entry.Name(); name != root && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		inside, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		inside = filepath.ToSlash(inside)
		folder, _, _ := strings.Cut(inside, "/")
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		isTest := strings.HasSuffix(name, "_test.go") || path.Base(path.Dir(inside)) == "sinktest" || path.Base(path.Dir(inside)) == "schematest"
		for _, imported := range file.Imports {
			target, err := strconv.Unquote(imported.Path.Value)
			if err != nil {
				return err
			}
			if strings.HasPrefix(target, "github.com/ebitengine/purego") && !strings.HasPrefix(inside, "cmd/logbatcher-engine/") {
				t.Errorf("%s imports %s; only cmd/logbatcher-engine may, or the service becomes a dynamic binary", inside, target)
			}
			local, ours := strings.CutPrefix(target, module)
			if !ours || isTest {
				continue
			}
			to, _, _ := strings.Cut(local, "/")
			if to == "cmd" && folder != "cmd" {
				t.Errorf("%s imports %s", inside, target)
			}
			if list, ruled := allowed[folder]; ruled && !slices.Contains(list, to) && folder != to {
				t.Errorf("%s imports %s; packages of %s import of the project only %q", inside, target, folder, list)
			}
			// The vocabulary imports nothing, settings, logline and what runs SQL import the vocabulary, and only the wiring imports what runs SQL.
			vocabulary := local == "schema" || local == "schema/settings" || local == "schema/logline"
			if to == "schema" && (!vocabulary || inside == "schema/"+path.Base(inside)) && folder != "cmd" {
				t.Errorf("%s imports %s; of schema's packages all but cmd import schema, schema/settings and schema/logline", inside, target)
			}
			// Batches know nothing of sinks, and sinks nothing of each other.
			if folder == "sink" && to == "sink" {
				switch within := path.Dir(inside); {
				case within == "sink/batch":
					t.Errorf("%s imports %s; sink/batch imports schema", inside, target)
				case within == "sink" && local != "sink/batch":
					t.Errorf("%s imports %s; sink imports sink/batch and schema", inside, target)
				case local != "sink" && local != "sink/batch":
					t.Errorf("%s imports %s; a sink imports sink, sink/batch and schema", inside, target)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestServiceIsStatic keeps what makes a binary dynamic out of the service.
func TestServiceIsStatic(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	list.Env = append(list.Environ(), "CGO_ENABLED=0")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, module+"server") {
		t.Fatalf("go list does not know the service: %q", packages)
	}
	for _, p := range packages {
		if strings.Contains(p, "purego") || p == "runtime/cgo" {
			t.Errorf("cmd/logbatcher depends on %s", p)
		}
	}
}
