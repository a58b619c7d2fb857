# Lockstep: every command a person needs. `make` alone lists them.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MODULES     := proto pkg services/console services/ingest services/lockstep services/mapper services/writer
TOOL        := go tool -modfile=$(CURDIR)/deploy/tools/go.mod
BIN         := $(CURDIR)/bin
export GOFLAGS ?= -buildvcs=false

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps build ## Run everything in one process, with both simulated systems
	@$(BIN)/lockstep standalone --demo

.PHONY: test
test: test-deps ## Run all tests: PostgreSQL, NATS, the browser and the HubSpot client are real
	@go test -race -timeout 45m -parallel 5 $(patsubst %,./%/...,$(MODULES))

.PHONY: chaos
chaos: deps build ## Disturb all services as processes (DURATION=10m), then check that both sides agree
	@$(BIN)/chaos -duration $${DURATION:-10m} $${SEED:+-seed $$SEED}

.PHONY: lint
lint: ## Check format, vet, generated code, and each module by itself
	@out=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); test -z "$$out" || { echo "gofmt: $$out"; exit 1; }
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && GOWORK=off go mod verify >/dev/null && GOWORK=off go vet ./...); done
	@cd deploy/tools && GOWORK=off go vet ./... && GOWORK=off go test ./...
	@$(MAKE) --no-print-directory proto-check

.PHONY: build
build: ## Build all programs into bin/
	@mkdir -p $(BIN)
	@go build -o $(BIN)/ ./services/lockstep/cmd/lockstep ./services/lockstep/cmd/chaos ./services/lockstep/cmd/measure ./services/ingest/cmd/ingest ./services/mapper/cmd/mapper ./services/writer/cmd/writer ./services/console/cmd/console

.PHONY: proto
proto: ## Generate the Go code of the events
	@cd proto && export GOWORK=off && $(TOOL) buf lint && $(TOOL) buf generate && $(TOOL) buf generate --template buf.gen.contact.yaml --path contact

.PHONY: proto-check
proto-check: ## Fail if the generated code is not what the sources give
	@before=$$(cat $$(find proto -name '*.go') | sha256sum); $(MAKE) --no-print-directory proto; \
	 after=$$(cat $$(find proto -name '*.go') | sha256sum); test "$$before" = "$$after" || { echo "proto: run make proto and commit the result"; exit 1; }

.PHONY: fuzz
fuzz: ## Fuzz every decoder for a while (FUZZTIME=30s each)
	@for p in hubspot:FuzzDecodeWebhook aloware:FuzzDecodeWebhook bus:FuzzDecode; do \
	  (cd pkg && go test -run '^$$' -fuzz "^$${p#*:}$$" -fuzztime $${FUZZTIME:-30s} ./$${p%:*}); done

.PHONY: simulate
simulate: ## Play schedules of random seeds (SEEDS=100000), or show one (SEED=7)
	@go run ./services/lockstep/simulation/cmd/simulate $(if $(SEED),-seed $(SEED),-seeds $${SEEDS:-100000})

.PHONY: mutate
mutate: ## Break each rule in turn: the simulation must find it
	@go run ./services/lockstep/simulation/cmd/mutate

.PHONY: bench
bench: deps build ## Measure what is promised into deploy/measured.md (ONLY=live,million; an hour)
	@$(BIN)/measure -report deploy/measured.md $(if $(ONLY),-only $(ONLY))

.PHONY: micro
micro: deps ## Run the Go benchmarks
	@for m in $(MODULES); do (cd $$m && go test -run '^$$' -bench . -benchmem ./...); done

.PHONY: deps
deps: ## Install what the demo needs (PostgreSQL) on Debian
	@./deploy/install-deps

.PHONY: test-deps
test-deps: ## Install what the tests need besides (Node.js, Chromium) on Debian
	@./deploy/install-deps test

.PHONY: clean
clean: ## Remove built programs (data of the demo stays; see README)
	@rm -rf $(BIN)
