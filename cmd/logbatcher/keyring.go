package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/server/access"
)

// keyringInterval is how often the files that secure our ports are read. Reading them again is simpler than being told, and
// works with every way in which they are replaced.
const keyringInterval = 5 * time.Second

// keyring is what secures our ports, as the files last said it. Files that can't be used change nothing.
type keyring struct {
	log     *slog.Logger
	refused prometheus.Gauge
	gate    access.Gate
	current atomic.Pointer[config.Credentials]

	mu      sync.Mutex
	config  *config.Config
	seen    *config.Credentials // what the files said when they were last read, if that is not in force
	problem string              // why the files as they are now are not used
}

func newKeyring(cfg *config.Config, log *slog.Logger, registerer prometheus.Registerer) *keyring {
	k := &keyring{log: log, config: cfg}
	k.put(cfg.Credentials())
	auto := promauto.With(registerer)
	k.refused = auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_credential_files_refused",
		Help: "1 if the files of certificates and tokens can't be used as they are now, so that older contents stay in force."})
	auto.NewGaugeFunc(prometheus.GaugeOpts{Name: "logbatcher_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of our ports expires. 0: there is none."}, func() float64 {
		if expiry := k.expiry(); !expiry.IsZero() {
			return float64(expiry.Unix())
		}
		return 0
	})
	return k
}

// run follows the files until ctx ends.
func (k *keyring) run(ctx context.Context) error {
	ticker := time.NewTicker(keyringInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			k.look(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// put puts credentials in force.
func (k *keyring) put(c *config.Credentials) {
	k.current.Store(c)
	if c.Policy != nil {
		k.gate.Use(c.Policy)
	}
	k.seen, k.problem = nil, ""
}

// look reads the files. What has changed is used when it is the same twice: the first time it may be half written, or a certificate
// without its new key.
func (k *keyring) look(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.current.Load()
	found, err := k.config.ReadCredentials(ctx, known)
	twice := k.seen != nil && found.SameFiles(k.seen)
	switch {
	case ctx.Err() != nil:
		return
	case found == known:
		k.seen, k.problem = nil, ""
	case !twice:
		k.seen = found
		return
	case err == nil:
		k.put(found)
		k.log.Info("changed files of certificates and tokens are used now")
	case err.Error() != k.problem:
		k.problem = err.Error()
		k.log.Error("changed files of certificates and tokens refused, keeping what they said before", "error", err)
	}
	k.refused.Set(0)
	if k.problem != "" {
		k.refused.Set(1)
	}
}

// use takes the tenants of a configuration that has been loaded again. The names of the files stay.
func (k *keyring) use(ctx context.Context, cfg *config.Config) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := *k.config
	next.Tenants = cfg.Tenants
	found, err := next.ReadCredentials(ctx, nil)
	if err == nil {
		k.config = &next
		k.put(found)
		k.refused.Set(0)
	}
	return err
}

// expiry returns when our certificate expires; the zero time if there is none.
func (k *keyring) expiry() time.Time {
	if current := k.current.Load(); current.TLS != nil {
		return current.TLS.Certificates[0].Leaf.NotAfter
	}
	return time.Time{}
}

// degraded returns what is wrong with the files.
func (k *keyring) degraded() (reasons []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.problem != "" {
		reasons = append(reasons, "the files of certificates and tokens can't be used, and what they said before stays in force: "+k.problem)
	}
	if expiry := k.expiry(); !expiry.IsZero() && time.Now().After(expiry) {
		reasons = append(reasons, "the certificate in server.tls.cert_file has expired on "+expiry.Format(time.RFC3339))
	}
	return reasons
}

// tls returns the TLS of all ports; nil if there is none. Each connection gets the newest certificate.
func (k *keyring) tls() *tls.Config {
	if k.current.Load().TLS == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return k.current.Load().TLS, nil
	}}
}
