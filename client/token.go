package client

import (
	"context"
	"os"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// Token sends a bearer token with each call, as in grpc.WithPerRPCCredentials(client.Token{File: "token"}). gRPC sends it over TLS only,
// unless AllowPlain is set.
type Token struct {
	// Value is the token.
	Value string
	// File is a file with the token, if Value is empty. It is read for each call, so that it can be replaced before the token
	// expires: a stream whose token has expired is asked to move, and the next one is opened with the new token.
	File string
	// AllowPlain sends the token without TLS, too. Whoever can read the network can use it, so it is for servers on the same machine.
	AllowPlain bool
}

var _ credentials.PerRPCCredentials = Token{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	value := t.Value
	if value == "" {
		data, err := os.ReadFile(t.File)
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "token: %v", err) // it may be there soon
		}
		value = strings.TrimSpace(string(data))
	}
	return map[string]string{"authorization": "Bearer " + value}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (t Token) RequireTransportSecurity() bool { return !t.AllowPlain }

// String hides the token.
func (t Token) String() string { return "token" }

// GoString hides the token.
func (t Token) GoString() string { return t.String() }
