# Run "make help" for what can be done here.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
ARGS     ?=
FUZZTIME ?= 10s

CLIENTTEST := cmd/bursar/clienttest
REACT      := deploy/react
NEED       := deploy/scripts/need.sh
TOOL       := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help setup run demo build migrate test test-short clients react screenshots chaos vet bench bench-guard bench-reports model forecast-backtest fuzz lint vuln generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing to build, run and test
	@$(NEED) go cc postgres node chromium
	@go mod download
	@$(MAKE) --no-print-directory clients $(REACT)/node_modules/.package-lock.json

run: ## build and start Bursar (ARGS="--log-level debug")
	@$(NEED) go database
	@$(MAKE) --no-print-directory build
	bin/bursar serve $(ARGS)

demo: ## start Bursar with a fake OpenRouter and a sample campaign; nothing leaves the machine
	@$(NEED) go postgres
	@$(MAKE) --no-print-directory build
	bin/bursar demo $(ARGS)

# The version is set here, so the build does not ask git for one: git refuses a
# checkout that another user owns, as in containers.
build: ## build bin/bursar
	@$(NEED) go
	CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/bursar ./cmd/bursar

migrate: build ## bring the database's schema up to date (uses DATABASE_URL)
	bin/bursar migrate $(ARGS)

test: ## vet and run all tests with the race detector, on a real Postgres, real clients and a real browser
	@$(NEED) go cc postgres node chromium
	@$(MAKE) --no-print-directory clients react
	go vet ./...
	go test -race -pgo=off -timeout 25m $(ARGS) ./...

test-short: ## run the tests that take little time, without the race detector
	@$(NEED) go postgres node chromium
	@$(MAKE) --no-print-directory clients react
	go test -short -pgo=off $(ARGS) ./...

screenshots: clients ## keep a picture of every page of the dashboard, in both colour schemes, wide and narrow, in ./screenshots
	@$(NEED) go postgres chromium
	SCREENSHOTS=$(CURDIR)/screenshots go test -pgo=off -count=1 -run TestEveryPageOfTheDashboard $(ARGS) ./cmd/bursar

chaos: export CHAOS_ROUNDS ?= 4
chaos: ## the fault suite in full (CHAOS_ROUNDS=4, CHAOS_SEED=... to replay)
	@$(NEED) go cc postgres
	go test -race -pgo=off -count=1 -run Chaos -v -timeout 30m $(ARGS) ./cmd/bursar

# npm ci only when the lock file is newer than what is installed.
clients: $(if $(wildcard $(CLIENTTEST)/package.json),$(CLIENTTEST)/node_modules/.package-lock.json) ## install the client libraries that the tests use
	@:

$(CLIENTTEST)/node_modules/.package-lock.json: $(CLIENTTEST)/package-lock.json
	@$(NEED) node
	cd $(CLIENTTEST) && npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(@D) && touch $@

# The types are made from what this Bursar says of itself; cmd/bursar's tests
# then run the example in a browser against it.
react: $(REACT)/node_modules/.package-lock.json build ## build and test the React package of deploy/react
	cd $(REACT) && npm run -s describe && npm run -s types && npm run -s build && npm run -s lint && npm test -s

$(REACT)/node_modules/.package-lock.json: $(REACT)/package-lock.json
	@$(NEED) node
	cd $(REACT) && npm ci --no-audit --no-fund --loglevel=error
	@mkdir -p $(@D) && touch $@

vet: ## run go vet
	go vet ./...

bench: ## measure the added latency against a bare ReverseProxy
	go run ./proxy/proxybench $(ARGS)

bench-guard: ## measure the guard alone: ns for a decision, by budgets and goroutines
	go test -pgo=off -run '^$$' -bench Decision -benchtime 200000x $(ARGS) ./accounting/guard

bench-reports: ## measure every report on ROWS=20000000 calls of LEADS=1000000 leads, beside the calls themselves
	@$(NEED) go postgres
	go test -pgo=off -run '^$$' -bench Reports -benchtime 200x -timeout 3h $(ARGS) ./store/postgres -report-rows=$(or $(ROWS),20000000) -report-leads=$(or $(LEADS),1000000)

model: ## check the guard's protocol exhaustively: every state, many scenarios, and by Spin
	@$(NEED) go
	GUARD_MODEL=full go test -pgo=off -count=1 -timeout 20m -v -run 'SmallWorld|FindsBroken|Interleaving' ./accounting/guard -rapid.checks=1000
	deploy/scripts/model.sh

forecast-backtest: ## how far forecasts of the month's end are off, on generated series of several shapes
	FORECAST_BACKTEST=full go test -pgo=off -count=1 -v -run Backtest $(ARGS) ./accounting

fuzz: ## fuzz every parser for FUZZTIME each (10s)
	deploy/scripts/fuzz.sh $(FUZZTIME)

lint: ## run the linters of .golangci.yml
	$(TOOL) golangci-lint run $(ARGS) ./...

vuln: ## look for known vulnerabilities (needs the network)
	$(TOOL) govulncheck ./...

generate: ## rewrite the example files of deploy/ from the settings
	go test ./config -run TestTheExampleFilesAreUpToDate -update

clean: ## remove what was built; data/ stays
	rm -rf bin dist $(CLIENTTEST)/node_modules $(addprefix $(REACT)/,node_modules build dist example/dist openapi.json src/api.ts)
