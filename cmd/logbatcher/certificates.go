package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

// certificatePool reads the certificates of a PEM file.
func certificatePool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates: %s has none in PEM form", path)
	}
	return pool, nil
}
