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
)

// keyringInterval is how often the files that secure our ports are read. Reading them again is simpler than being told, and
// works with every way in which they are replaced.
const keyringInterval = 5 * time.Second

// keyring is what secures our ports, as the files last said it. Files that can't be used change nothing.
type keyring struct {
	log     *slog.Logger
	refused prometheus.Gauge
	current atomic.Pointer[config.Credentials]

	mu      sync.Mutex
	config  *config.Config
	problem string // why the files as they are now are not used
}

func newKeyring(cfg *config.Config, log *slog.Logger, registerer prometheus.Registerer) *keyring {
	k := &keyring{log: log, config: cfg}
	k.current.Store(cfg.Credentials())
	auto := promauto.With(registerer)
	k.refused = auto.NewGauge(prometheus.GaugeOpts{Name: "logbatcher_credential_files_refused",
		Help: "1 if the files of certificates and keys can't be used as they are now, so that older contents stay in force."})
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

// look reads the files and uses what has changed.
func (k *keyring) look(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.current.Load()
	found, err := k.config.ReadCredentials(ctx, known)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if err.Error() != k.problem {
			k.log.Error("changed certificate files refused, keeping the old certificate", "error", err)
		}
		k.problem = err.Error()
		k.refused.Set(1)
	default:
		if found != known {
			k.current.Store(found)
			k.log.Info("certificate files have changed and are used", "expires", k.expiry())
		}
		k.problem = ""
		k.refused.Set(0)
	}
}

// expiry returns when our certificate expires; the zero time if there is none.
func (k *keyring) expiry() time.Time {
	if current := k.current.Load(); current.GRPC != nil {
		return current.GRPC.Certificates[0].Leaf.NotAfter
	}
	return time.Time{}
}

// degraded returns what is wrong with the files.
func (k *keyring) degraded() (reasons []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.problem != "" {
		reasons = append(reasons, "the certificate files can't be used, and the old certificate stays: "+k.problem)
	}
	if expiry := k.expiry(); !expiry.IsZero() && time.Now().After(expiry) {
		reasons = append(reasons, "the certificate in server.tls.cert_file has expired on "+expiry.Format(time.RFC3339))
	}
	return reasons
}

// grpc returns the TLS of gRPC ports, http that of HTTP ports; nil if there is none. Each connection gets the newest certificate.
func (k *keyring) grpc() *tls.Config {
	return k.tls(func(current *config.Credentials) *tls.Config { return current.GRPC })
}

func (k *keyring) http() *tls.Config {
	return k.tls(func(current *config.Credentials) *tls.Config { return current.HTTP })
}

func (k *keyring) tls(of func(*config.Credentials) *tls.Config) *tls.Config {
	if of(k.current.Load()) == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return of(k.current.Load()), nil
	}}
}
