package client

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies keeps what only the server needs out of the programs that use this package.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"golang.org/x/net", "golang.org/x/sys", "golang.org/x/text", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc",
		"google.golang.org/protobuf", "github.com/planetscale/vtprotobuf",
	}
	for line := range strings.Lines(string(out)) {
		module, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		own := path == "github.com/logbatcher/logbatcher/client" || path == "github.com/logbatcher/logbatcher/api/logbatcher/v1"
		if module != "" && !own && !slices.Contains(allowed, module) {
			t.Errorf("it depends on %s of %s", path, module)
		}
	}
}
