package embedded_test

import (
	"os"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }
