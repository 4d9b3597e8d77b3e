# LogBatcher's commands. `make help` lists them.

GO      ?= go
TOOL    := $(GO) tool -modfile=tools/go.mod
export CGO_ENABLED ?= 0
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/logbatcher (static) and bin/logbatcher-engine (hosts the embedded ClickHouse)
	$(GO) build -trimpath -o bin/ ./cmd/...

.PHONY: setup
setup: build ## Install what the demo and the tests need: redis-server (apt, as root), the ClickHouse engine (npm)
	@tools/setup.sh

.PHONY: examples
examples: ## Install what the tests of examples/ need: Python's gRPC (apt, as root), packages for Node (npm)
	@tools/setup.sh examples

.PHONY: demo
demo: setup ## Run the whole job on real logs: gRPC in, ClickHouse and dead letters out; ends by itself
	bin/logbatcher demo

.PHONY: dev
dev: setup ## Start LogBatcher with an embedded ClickHouse and Redis, and leave it running
	bin/logbatcher dev

.PHONY: test
test: setup examples lint ## Lint, then run the tests with the race detector (ten minutes at most)
	tools/test.sh -short

.PHONY: test-all
test-all: setup examples lint ## Run the long tests too: outages, kills, thousands of streams
	tools/test.sh

.PHONY: soak
soak: setup examples ## Run the tests 20 times in a row on a busy machine: what fails once in a hundred runs is broken
	tools/soak.sh 20

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, buf lint and breaking, generated code and go.mod up to date
	tools/lint.sh

.PHONY: generate
generate: ## Generate the code of api/ and the stubs of examples/ anew
	tools/generate.sh

.PHONY: chaos
chaos: setup ## Prove that nothing is lost or doubled: 200 faults while 10 million entries come (CHAOS='-seed 7 -gateways 2' changes that)
	$(GO) run ./chaos $(CHAOS)

.PHONY: bench
bench: setup ## Measure the gateway against direct insertion, from end to end
	$(GO) run ./bench -log off -axes -rounds 3 -rest 2s
	$(GO) run ./bench -log off,on -direct=false -rounds 3 -rest 2s

.PHONY: peers
peers: ## Build bin/collector: an OpenTelemetry Collector with its ClickHouse exporter, to compare with
	$(GO) -C bench/peers/collector build -trimpath -o ../../../bin/collector .

.PHONY: bench-peers
bench-peers: setup peers ## Measure the gateway beside the OpenTelemetry Collector on the same records
	$(GO) run ./bench/peers -rounds 3 -rest 2s

.PHONY: gobench
gobench: ## Run the Go benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./schema/... ./sink/... ./shard/... ./server/...

.PHONY: lines
lines: ## Count the lines of code by package, without tests, comments and blank lines
	@$(GO) -C tools run ./lines ..

.PHONY: clean
clean: ## Remove what build, dev and demo made
	rm -rf bin .logbatcher
