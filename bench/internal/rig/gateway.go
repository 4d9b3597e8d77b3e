//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/logbatcher/logbatcher/embedded"
)

// A Gateway is a process of LogBatcher.
type Gateway struct {
	// GRPC and HTTP are its addresses, host:port.
	GRPC, HTTP string

	process *embedded.Server
	id      int
}

// configurationFile writes a configuration to a file named after the database.
func (s *Rig) configurationFile(database, configuration string) (string, error) {
	file := filepath.Join(s.Folder, database+".yaml")
	return file, os.WriteFile(file, []byte(configuration), 0o600)
}

// ApplySchema has a gateway's program make the tables of a configuration.
func (s *Rig) ApplySchema(ctx context.Context, binary, database, configuration string) error {
	file, err := s.configurationFile(database, configuration)
	if err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, binary, "schema", "apply", "--config", file).CombinedOutput(); err != nil {
		return fmt.Errorf("make the table: %w: %s", err, output)
	}
	return nil
}

// StartGateway starts a gateway. Its tables exist when it returns.
func (s *Rig) StartGateway(ctx context.Context, binary, database, configuration string) (*Gateway, error) {
	file, err := s.configurationFile(database, configuration)
	if err != nil {
		return nil, err
	}
	g := &Gateway{}
	g.process = embedded.NewServer(embedded.ServerConfig{
		Name: "gateway", Directory: s.Folder, Ready: regexp.MustCompile(`msg=serving .*grpc=(\S+) http=(\S+)`),
		Command: func(context.Context, string) (string, []string, error) {
			return binary, []string{"serve", "--config", file}, nil
		},
	})
	if err := g.process.Start(ctx); err != nil {
		return nil, err
	}
	if g.id, err = g.process.PID(); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	g.GRPC, g.HTTP, _ = strings.Cut(g.process.Address(), " ")
	return g, nil
}

// Memory returns the resident set of the process, in bytes, and PeakMemory the largest that it has had.
func (g *Gateway) Memory() (int64, error)     { return memory(g.id, "VmRSS") }
func (g *Gateway) PeakMemory() (int64, error) { return memory(g.id, "VmHWM") }

// PID returns the id of the process.
func (g *Gateway) PID() int { return g.id }

// Close stops the process.
func (g *Gateway) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return g.process.Stop(ctx)
}

// Kill ends the process as a crash would.
func (g *Gateway) Kill() error { return g.process.Kill() }

// Report adds how many batches were sealed.
func (g *Gateway) Report(ctx context.Context, r *Result) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.HTTP+"/metrics", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	for _, metric := range families["logbatcher_batches_sealed_total"].GetMetric() {
		r.Batches += metric.GetCounter().GetValue()
	}
	return err
}
