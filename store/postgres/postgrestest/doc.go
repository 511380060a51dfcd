// Package postgrestest gives tests a real Postgres.
//
//	db := postgrestest.New(t)        // a fresh, empty database; dropped at the end of t
//	c := postgrestest.NewCluster(t)  // a server of its own, to be stopped and killed
//
// All calls of New in one test process share one throw-away server, started by
// the first of them in about a second. It lives under os.TempDir, with fsync off,
// and nothing needs to be done to get rid of it: a small watchdog process waits
// for the end of the test process, however that ends (kill -9 and the timeout
// of go test included), stops the server and removes its files. A package that
// wants it gone before its process ends uses Main.
//
// Where no Postgres is installed a test fails and says how to install one. It
// never skips.
package postgrestest
