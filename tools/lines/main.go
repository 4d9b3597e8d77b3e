// Command lines counts lines of code by package: lines that hold a token, so no comments and no blank lines.
// Tests and generated code are left out. Two sums follow: the service, and the tools and test support for development.
//
//	go -C tools run ./lines ..
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// development are the folders of what helps to build LogBatcher and is no part of the service.
var development = []string{"cmd/logbatcher-engine", "embedded", "bench", "chaos", "tools", "sink/sinktest", "schema/schematest", "wal/crashfs"}

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	lines, err := count(os.DirFS(root))
	if err != nil {
		fmt.Fprintln(os.Stderr, "lines:", err)
		os.Exit(1)
	}
	sums := map[string]int{}
	for _, folder := range slices.Sorted(maps.Keys(lines)) {
		part := "service"
		for _, prefix := range development {
			if folder == prefix || strings.HasPrefix(folder, prefix+"/") {
				part = "development"
			}
		}
		sums[part] += lines[folder]
		fmt.Printf("%7d  %-12s %s\n", lines[folder], part, folder)
	}
	for _, part := range slices.Sorted(maps.Keys(sums)) {
		fmt.Printf("%7d  %s\n", sums[part], part)
	}
}

// count returns the lines of code of each folder.
func count(tree fs.FS) (map[string]int, error) {
	lines := map[string]int{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		n, err := codeLines(name, source)
		lines[path.Dir(name)] += n
		return err
	})
	return lines, err
}

// codeLines returns how many lines of a file hold a token; 0 for generated code.
func codeLines(name string, source []byte) (int, error) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil || ast.IsGenerated(parsed) {
		return 0, err
	}
	var scan scanner.Scanner
	file := files.AddFile(name, -1, len(source))
	scan.Init(file, source, nil, 0)
	seen := map[int]bool{}
	for {
		at, kind, text := scan.Scan()
		if kind == token.EOF {
			return len(seen), nil
		}
		if kind == token.SEMICOLON && text == "\n" {
			continue
		}
		first := file.Line(at)
		for i, line := range bytes.Split([]byte(text), []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 || i == 0 {
				seen[first+i] = true
			}
		}
	}
}
