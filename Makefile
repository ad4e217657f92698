# Targets for people: "make" lists them.

GO      ?= go
FUZZ    ?= 60s
BENCH   ?= .

.PHONY: help build run test test-deps lint fuzz bench bench-peers clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build: ## build ./tidemark, a static binary
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=auto -o tidemark ./cmd/tidemark

run: build ## start a server with a demo account, its data in ./data
	./tidemark demo --dir data

test: test-deps build lint ## everything that a change has to pass
	GO='$(GO)' scripts/run-tests

test-deps: ## install what the tests need, where it is missing
	scripts/install-test-deps

lint: ## formatting, vet and static checks
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fuzz: ## each fuzz target for FUZZ (60s)
	GO='$(GO)' scripts/fuzz $(FUZZ)

bench: ## the benchmarks that match BENCH (all), for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count 5 ./...

bench-peers: build ## measure beside Dovecot, into bench/RESULTS.md (as root; BENCH_ARGS="-quick")
	scripts/install-bench-deps
	$(GO) run ./bench $(BENCH_ARGS)

clean: ## remove what was built, but not ./data
	rm -f tidemark
	$(GO) clean -testcache
