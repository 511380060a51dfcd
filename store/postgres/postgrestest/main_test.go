package postgrestest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"bursar/store/postgres/postgrestest"
)

// deadChild makes this test binary a test process that is about to be killed.
const deadChild = "POSTGRESTEST_DEAD_CHILD"

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}
