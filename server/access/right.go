package access

import (
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

// Right is what a caller may do.
type Right string

// The rights.
const (
	// Ingest is to send entries.
	Ingest Right = "ingest"
	// Admin is to use AdminService and reflection.
	Admin Right = "admin"
	// Metrics is to read the metrics, and why the instance is not ready.
	Metrics Right = "metrics"
)

// allRights are the names of the rights.
var allRights = []string{string(Ingest), string(Admin), string(Metrics)}

// defaultRights are those of a tenant or token that names none.
var defaultRights = []Right{Ingest}

// ParseRight reads the name of a right.
func ParseRight(name string) (Right, string) {
	if !slices.Contains(allRights, name) {
		return "", schema.UnknownName("right", name, allRights)
	}
	return Right(name), ""
}
