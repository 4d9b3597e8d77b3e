//go:build !unix

package embedded

import (
	"context"
	"errors"
)

// lockFile exists for the platforms that have neither the library nor
// redis-server.
func lockFile(context.Context, string) (unlock func(), err error) {
	return nil, errors.ErrUnsupported
}
