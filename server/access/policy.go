package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Credentials are what a caller shows. A token decides; only without one does the certificate.
type Credentials struct {
	// Authorization are the values of the header of that name.
	Authorization []string
	// Certificate is the client's own, which has been verified. Nil: none.
	Certificate *x509.Certificate
}

// Caller is who calls.
type Caller struct {
	// Tenant is the one that the caller speaks for.
	Tenant *Tenant
	// Rights are what the caller may do.
	Rights []Right
	// Expires is when the credentials do. Zero: never.
	Expires time.Time
	// Name is what shows who it is, for logs, as in "token 7k2m4x9q".
	Name string

	credentials Credentials
}

// May reports whether the caller has a right.
func (c *Caller) May(right Right) bool { return slices.Contains(c.Rights, right) }

// anyone is the caller where nobody is asked who they are.
var anyone = &Caller{Tenant: &Tenant{}, Rights: []Right{Ingest, Admin, Metrics}}

// RefusedError is why credentials are refused. Its reason is one of the constants.
type RefusedError struct{ Reason, Message string }

// Error returns the message, which never has the token.
func (e *RefusedError) Error() string { return e.Message }

// The refusals. That a token is expired is only told to those who have it.
var (
	errNone               = &RefusedError{"NO_CREDENTIALS", "who calls is not known: send \"authorization: Bearer TOKEN\", or a client certificate if the server asks for one"}
	errMalformed          = &RefusedError{"MALFORMED_CREDENTIALS", "the authorization must be one header: Bearer, a space and the token"}
	errUnknownToken       = &RefusedError{"UNKNOWN_TOKEN", "the token is not one of the server's"}
	errExpiredToken       = &RefusedError{"EXPIRED_TOKEN", "the token has expired"}
	errUnknownCertificate = &RefusedError{"UNKNOWN_CERTIFICATE", "no tenant has one of the certificate's names"}
	errExpiredCertificate = &RefusedError{"EXPIRED_CERTIFICATE", "the certificate has expired"}
)

// Policy is who may call, and what for. It is immutable.
type Policy struct {
	tokens       map[string]*Token
	tenants      map[string]*Tenant
	certificates map[string]*Tenant
}

// NewPolicy returns the policy of tenants, which have been checked, and of tokens. It returns what is wrong with the tokens.
func NewPolicy(tenants []Tenant, tokens []*Token) (p *Policy, problems []string) {
	p = &Policy{tokens: map[string]*Token{}, tenants: map[string]*Tenant{}, certificates: map[string]*Tenant{}}
	var names []string
	for _, t := range tenants {
		p.tenants[t.Name] = &t
		names = append(names, t.Name)
		for _, name := range t.Certificates {
			p.certificates[name] = &t
		}
	}
	for _, token := range tokens {
		if p.tenants[token.Tenant] == nil {
			problems = append(problems, fmt.Sprintf("token %s: %s", token.ID, schema.UnknownName("tenant", token.Tenant, names)))
		}
		p.tokens[token.ID] = token
	}
	return p, problems
}

// Authenticate returns who shows the credentials, or a *RefusedError.
func (p *Policy) Authenticate(c Credentials, now time.Time) (*Caller, error) {
	switch {
	case len(c.Authorization) > 1:
		return nil, errMalformed
	case len(c.Authorization) == 1:
		return p.authenticateToken(c, now)
	case c.Certificate != nil:
		return p.authenticateCertificate(c, now)
	}
	return nil, errNone
}

func (p *Policy) authenticateToken(c Credentials, now time.Time) (*Caller, error) {
	presented, ok := bearer(c.Authorization[0])
	if !ok {
		return nil, errMalformed
	}
	id := tokenID(presented)
	if id == "" {
		return nil, errUnknownToken
	}
	token := p.tokens[id]
	if token == nil {
		token = &Token{} // its hash is compared too, so that the time does not tell which ids there are
	}
	sum := sha256.Sum256([]byte(presented))
	if subtle.ConstantTimeCompare(sum[:], token.sum[:]) == 0 {
		return nil, errUnknownToken
	}
	if !token.Expires.IsZero() && !now.Before(token.Expires) {
		return nil, errExpiredToken
	}
	tenant := p.tenants[token.Tenant]
	rights := token.Rights
	if len(rights) == 0 {
		rights = tenant.rights()
	}
	return &Caller{Tenant: tenant, Rights: rights, Expires: token.Expires, Name: "token " + token.ID, credentials: c}, nil
}

func (p *Policy) authenticateCertificate(c Credentials, now time.Time) (*Caller, error) {
	if now.After(c.Certificate.NotAfter) {
		return nil, errExpiredCertificate
	}
	for _, name := range certificateNames(c.Certificate) {
		if tenant := p.certificates[name]; tenant != nil {
			return &Caller{Tenant: tenant, Rights: tenant.rights(), Expires: c.Certificate.NotAfter, Name: "certificate " + name, credentials: c}, nil
		}
	}
	return nil, errUnknownCertificate
}

// certificateNames returns the names that a certificate speaks for: its URIs and DNS names, in this order, or if it has neither, the
// common name of its subject.
func certificateNames(c *x509.Certificate) []string {
	var names []string
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	names = append(names, c.DNSNames...)
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// bearer returns the token of an authorization header.
func bearer(header string) (token string, ok bool) {
	scheme, token, found := strings.Cut(header, " ")
	if token = strings.Trim(token, " "); !found || !strings.EqualFold(scheme, "bearer") || token == "" || strings.ContainsAny(token, " \t") {
		return "", false
	}
	return token, true
}
