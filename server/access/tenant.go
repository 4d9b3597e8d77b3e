package access

import (
	"fmt"
	"regexp"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// Tenant is a party that sends entries, and its bounds. Producers are named within it.
type Tenant struct {
	// Name is its name in tokens, metrics, filters and columns.
	Name string `yaml:"name"`
	// Certificates are the names of the client certificates that speak for it.
	Certificates []string `yaml:"certificates"`
	// Rights are those of its certificates, and of its tokens that name none. Empty: to ingest.
	Rights []Right `yaml:"rights"`
	// Routes are the names of the routes that its entries may match. Empty: all.
	Routes []string `yaml:"routes"`
	// MaxStreams is the most streams and unary calls at a time. 0: as many as the instance has.
	MaxStreams int `yaml:"max_streams" min:"0" max:"1000000"`
	// MaxEntries and MaxBytes bound what it sends in a second, on average. 0: no bound.
	MaxEntries int           `yaml:"max_entries_per_second" min:"0" max:"1000000000"`
	MaxBytes   settings.Size `yaml:"max_bytes_per_second" min:"0" max:"1024GiB"`
}

// tenantName matches the names of tenants, which are labels of metrics.
var tenantName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

const tenantNameRule = "the name of a tenant is 1 to 64 letters, digits, _, - and ."

// CheckTenants returns what is wrong with the tenants. The paths begin with an index, as in "[0].name".
func CheckTenants(tenants []Tenant) []schema.Problem {
	var problems []schema.Problem
	names, certificates := map[string]int{}, map[string]int{}
	for i := range tenants {
		t := &tenants[i]
		report := func(key, format string, arguments ...any) {
			problems = append(problems, schema.Problem{Path: fmt.Sprintf("[%d].%s", i, key), Message: fmt.Sprintf(format, arguments...)})
		}
		if !tenantName.MatchString(t.Name) {
			report("name", "%s; this is %s", tenantNameRule, schema.Quoted(t.Name))
		} else if first, taken := names[t.Name]; taken {
			report("name", "tenants[%d] has the name %s already", first, t.Name)
		}
		names[t.Name] = i
		for n, name := range t.Certificates {
			if name == "" {
				report(fmt.Sprintf("certificates[%d]", n), "there is no name; write one that the certificates have, as in shop.example.com")
			} else if first, taken := certificates[name]; taken {
				report(fmt.Sprintf("certificates[%d]", n), "tenants[%d] has the name %s already; a certificate speaks for one tenant", first, schema.Quoted(name))
			}
			certificates[name] = i
		}
		for n, right := range t.Rights {
			if _, problem := ParseRight(string(right)); problem != "" {
				report(fmt.Sprintf("rights[%d]", n), "%s", problem)
			}
		}
	}
	return problems
}

// rights returns the rights of the tenant's certificates, and of its tokens that name none.
func (t *Tenant) rights() []Right {
	if len(t.Rights) > 0 {
		return t.Rights
	}
	return defaultRights
}
