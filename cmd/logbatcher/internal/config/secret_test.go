package config

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsHidden(t *testing.T) {
	var log strings.Builder
	c := Default()
	c.Redis.Password = "sesame"
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", c.Redis.Password)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "redis", c.Redis)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", c, c.Redis, c.Redis, c.Redis.Password, c.Redis.Password), log.String()} {
		if strings.Contains(text, "sesame") {
			t.Errorf("the secret is in %s", text)
		}
	}
}
