package access

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAuthenticate(t *testing.T) {
	now := time.Now()
	tenants := []Tenant{{Name: "shop", Certificates: []string{"shop.example", "spiffe://example/shop"}}, {Name: "ops", Rights: []Right{Admin, Metrics}, Certificates: []string{"ops"}}}
	shop, shopLine := line(t, "shop", time.Time{})
	also, alsoLine := line(t, "shop", time.Time{}, Metrics)
	brief, briefLine := line(t, "shop", now.Add(time.Minute))
	ops, opsLine := line(t, "ops", time.Time{})
	tokens, problems := ParseTokens([]byte(strings.Join([]string{shopLine, alsoLine, briefLine, opsLine}, "\n")))
	policy, unknown := NewPolicy(tenants, tokens)
	if len(problems)+len(unknown) > 0 {
		t.Fatal(problems, unknown)
	}
	foreign, _ := line(t, "shop", time.Time{})
	uri, _ := url.Parse("spiffe://example/shop")
	certificate := func(common string, uris []*url.URL, names ...string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: common}, URIs: uris, DNSNames: names, NotAfter: now.Add(time.Hour)}
	}
	for name, test := range map[string]struct {
		authorization []string
		certificate   *x509.Certificate
		tenant        string
		rights        []Right
		refused       *RefusedError
	}{
		"nothing":                          {refused: errNone},
		"token":                            {authorization: []string{"Bearer " + shop}, tenant: "shop", rights: []Right{Ingest}},
		"another of the tenant":            {authorization: []string{"bearer  " + also + " "}, tenant: "shop", rights: []Right{Metrics}},
		"one that expires":                 {authorization: []string{"Bearer " + brief}, tenant: "shop", rights: []Right{Ingest}},
		"rights of the tenant":             {authorization: []string{"Bearer " + ops}, tenant: "ops", rights: []Right{Admin, Metrics}},
		"one of nobody":                    {authorization: []string{"Bearer " + foreign}, refused: errUnknownToken},
		"known id, another secret":         {authorization: []string{"Bearer " + shop[:len(shop)-1] + "~"}, refused: errUnknownToken},
		"its line":                         {authorization: []string{"Bearer " + strings.Fields(shopLine)[1]}, refused: errUnknownToken},
		"very long":                        {authorization: []string{"Bearer " + shop + strings.Repeat("a", 1<<20)}, refused: errUnknownToken},
		"no scheme":                        {authorization: []string{shop}, refused: errMalformed},
		"another scheme":                   {authorization: []string{"Basic " + shop}, refused: errMalformed},
		"empty":                            {authorization: []string{""}, refused: errMalformed},
		"two":                              {authorization: []string{"Bearer " + shop, "Bearer " + shop}, refused: errMalformed},
		"DNS name":                         {certificate: certificate("ops", nil, "other", "shop.example"), tenant: "shop", rights: []Right{Ingest}},
		"URI":                              {certificate: certificate("", []*url.URL{uri}), tenant: "shop", rights: []Right{Ingest}},
		"common name without others":       {certificate: certificate("ops", nil), tenant: "ops", rights: []Right{Admin, Metrics}},
		"common name beside others":        {certificate: certificate("ops", nil, "other"), refused: errUnknownCertificate},
		"certificate without a name":       {certificate: certificate("", nil), refused: errUnknownCertificate},
		"token beside a certificate":       {authorization: []string{"Bearer " + ops}, certificate: certificate("", nil, "shop.example"), tenant: "ops", rights: []Right{Admin, Metrics}},
		"wrong token beside a certificate": {authorization: []string{"Bearer " + foreign}, certificate: certificate("", nil, "shop.example"), refused: errUnknownToken},
	} {
		caller, err := policy.Authenticate(Credentials{Authorization: test.authorization, Certificate: test.certificate}, now)
		if test.refused != nil {
			if !errors.Is(err, test.refused) {
				t.Errorf("%s: %+v, %v, want %v", name, caller, err, test.refused)
			}
			continue
		}
		if err != nil || caller.Tenant.Name != test.tenant || !slices.Equal(caller.Rights, test.rights) || strings.Contains(caller.Name, shop) {
			t.Errorf("%s: %+v, %v", name, caller, err)
		}
	}
	later := now.Add(2 * time.Hour)
	if _, err := policy.Authenticate(Credentials{Authorization: []string{"Bearer " + brief}}, now.Add(time.Minute)); err != errExpiredToken {
		t.Errorf("an expired token: %v", err)
	}
	if _, err := policy.Authenticate(Credentials{Authorization: []string{"Bearer " + brief[:len(brief)-1] + "~"}}, later); err != errUnknownToken {
		t.Errorf("whoever does not have an expired token learns of it: %v", err)
	}
	if _, err := policy.Authenticate(Credentials{Certificate: certificate("ops", nil)}, later); err != errExpiredCertificate {
		t.Errorf("an expired certificate: %v", err)
	}
	if _, unknown := NewPolicy(tenants[:1], tokens); len(unknown) != 1 || !strings.Contains(unknown[0], `unknown tenant "ops"`) {
		t.Errorf("a token of an unknown tenant: %q", unknown)
	}
}

func TestGate(t *testing.T) {
	var g Gate
	caller, err := g.Authenticate(Credentials{})
	if err != nil || caller.Tenant.Name != "" || !caller.May(Ingest) || !caller.May(Admin) || !caller.May(Metrics) {
		t.Errorf("nobody is asked: %+v, %v", caller, err)
	}
	token, text := line(t, "shop", time.Time{})
	tokens, _ := ParseTokens([]byte(text))
	policy, _ := NewPolicy([]Tenant{{Name: "shop"}}, tokens)
	g.Use(policy)
	if _, err := g.Authenticate(Credentials{}); err != errNone {
		t.Errorf("nothing is shown: %v", err)
	}
	caller, err = g.Authenticate(Credentials{Authorization: []string{"Bearer " + token}})
	if err != nil {
		t.Fatal(err)
	}
	again, replaced, err := g.Again(caller)
	if err != nil || again.Tenant.Name != "shop" {
		t.Errorf("again: %+v, %v", again, err)
	}
	none, _ := NewPolicy([]Tenant{{Name: "shop"}}, nil)
	g.Use(none)
	<-replaced
	if _, _, err := g.Again(caller); err != errUnknownToken {
		t.Errorf("a removed token: %v", err)
	}
}

// FuzzBearer authenticates with arbitrary headers: only the token itself is let in.
func FuzzBearer(f *testing.F) {
	token, l, err := NewToken("shop", time.Time{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	policy, _ := NewPolicy([]Tenant{{Name: "shop"}}, []*Token{l})
	for _, header := range []string{"", "Bearer", "Bearer " + token, "bearer\t" + token, "Bearer lb__", "Bearer lb_aaaaaaaa_", "Bearer " + l.String()} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		caller, err := policy.Authenticate(Credentials{Authorization: []string{header}}, time.Now())
		if fields := strings.Fields(header); err == nil && (len(fields) != 2 || fields[1] != token) {
			t.Errorf("%q is let in as %+v", header, caller)
		}
		if err != nil && header != "" && strings.Contains(err.Error(), header) && len(header) > 40 {
			t.Errorf("the error has the header: %v", err)
		}
	})
}

func BenchmarkRefuse(b *testing.B) {
	token, _, err := NewToken("shop", time.Time{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	policy, _ := NewPolicy([]Tenant{{Name: "shop"}}, nil)
	shown := Credentials{Authorization: []string{"Bearer " + token}}
	for b.Loop() {
		if _, err := policy.Authenticate(shown, time.Now()); err == nil {
			b.Fatal("let in")
		}
	}
}
