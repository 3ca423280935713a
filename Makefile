# What CI calls and what a person calls are the same targets.
#
#   make playground   three real nodes and a shell
#   make test         everything that must hold before a change goes in
#   make prove        ten thousand simulated runs, every planted bug, and the three below; goes on where it was stopped
#   SEED=7 make sim   one simulated run with its logs and its trace; SEEDS=1000: so many runs
#   make cluster      only the tests with real processes; ONLY='test(name)' narrows them
#   make prove-repair a million rows on each of three nodes are compared and mended
#   make prove-network ten minutes of busy cores, and of chaos on five real nodes
#   make prove-power  500 power cuts and 100 damaged files; goes on where it was interrupted
#   make fuzz         every fuzz target for FUZZ_S seconds
#   make deny         licences, advisories and sources of the dependencies
#   make deps         what a Debian 12 with git, make and curl lacks; what is there is left alone
#
# Everything is built in release: one profile, so RocksDB is compiled once.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := playground
.DELETE_ON_ERROR:
.PHONY: playground test prove proofs sim cluster prove-repair prove-network prove-power fuzz deny build deps build-deps

TARGET := $(or $(CARGO_TARGET_DIR),target)
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
NEXTEST := 0.9.143
ONLY ?= all()
SEEDS ?= 100
LOG ?= info
FUZZ_S ?= 60

export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
# The toolchain that Cargo.toml names, unless it is the one in use already.
ifeq ($(findstring rustc $(RUST).,$(shell rustc --version 2>/dev/null)),)
export RUSTUP_TOOLCHAIN := $(RUST)
endif
ifneq ($(shell command -v ccache),)
export CC := ccache gcc
export CXX := ccache g++
endif

playground: build
	$(TARGET)/release/starling playground

test: deps build
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo nextest run --release --locked --workspace --profile ci
	cargo test --release --locked --workspace --doc

sim: deps
ifdef SEED
	cargo build --release --locked --workspace --bin sim
	$(TARGET)/release/sim --seed $(SEED) --log $(LOG) --trace $(TARGET)/sim-$(SEED).trace
else
	SIM_SEEDS=$(SEEDS) cargo nextest run --release --locked --workspace -E 'package(starling-sim)'
endif

# Each proof is a file with its figures, kept until the program that it is about is another one.
PROVED := $(TARGET)/prove
SIM := $(TARGET)/release/sim
SIM_FIRST := $(shell seq 1 500 9501)
SIM_PROOFS := $(PROVED)/sim-planted.txt $(SIM_FIRST:%=$(PROVED)/sim-from-%.txt)
NODE_PROOFS := $(PROVED)/repair.txt $(PROVED)/network.txt $(PROVED)/power.txt

prove: deps
	cargo build --release --locked --workspace --bins
	@mkdir -p $(PROVED)
	@outcome=0; $(MAKE) --no-print-directory --keep-going proofs || outcome=$$?; \
	    for proof in $(SIM_PROOFS); do \
	        printf '%-16s %s\n' "$$(basename $$proof .txt)" "$$(cat $$proof 2>/dev/null || echo 'NOT PROVED')"; \
	    done; \
	    for proof in $(NODE_PROOFS); do \
	        printf '%-16s %s\n' "$$(basename $$proof .txt)" "$$(ls $$proof 2>/dev/null || echo 'NOT PROVED')"; \
	    done; exit $$outcome

proofs: $(SIM_PROOFS) $(NODE_PROOFS)

# On real processes; the files hold what the tests have printed.
$(NODE_PROOFS): $(PROVED)/%.txt: $(TARGET)/release/starling
	$(MAKE) --no-print-directory prove-$* >$@ 2>&1 || { tail -n 50 $@; false; }

$(PROVED)/sim-from-%.txt: $(SIM)
	$(SIM) --seeds $*-$$(( $* + 499 )) >$@ || { cat $@; false; }

$(PROVED)/sim-planted.txt: $(SIM)
	for bug in $$($(SIM) --bugs); do \
	    found=$$($(SIM) --seeds 1-500 --search --planted $$bug | head -n 1) || found='NOT FOUND'; \
	    printf '%s: %s\n' "$$bug" "$$found"; \
	done >$@
	! grep 'NOT FOUND' $@

cluster: deps build
	cargo nextest run --release --locked --workspace --profile cluster -E '$(ONLY)'

prove-repair: deps build
	ANTI_ENTROPY_ROWS=1000000 cargo nextest run --release --locked --workspace --profile cluster \
	    -E 'binary(=anti_entropy) and test(one_round)'

prove-network: deps build
	SATURATION_S=600 CHAOS_S=600 cargo nextest run --release --locked --workspace --profile prove \
	    -E 'binary(=chaos) or binary(=failure) and test(saturation)'

prove-power: deps build
	PROVE=$(abspath $(TARGET))/prove POWER_CUTS=250 CORRUPTIONS=100 \
	cargo nextest run --release --locked --workspace --profile prove \
	    -E 'binary(=durability) and (test(over_power_cuts) or test(damaged_file))'
	@cd $(TARGET)/prove && grep -H . power-cuts-* corruptions

fuzz: deps
	BOLERO_RANDOM_TEST_TIME_MS=$(FUZZ_S)000 BOLERO_RANDOM_ITERATIONS=1000000000 \
	cargo nextest run --release --locked --workspace --profile fuzz

deny:
	@cargo deny --version >/dev/null 2>&1 || \
	    { echo 'cargo-deny is missing: cargo install --locked cargo-deny'; exit 1; }
	cargo deny --locked check

build: build-deps
	cargo build --release --locked --workspace --bin starling

# $(call apt,PACKAGES): installs those of them that are missing.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
define apt
	@lacking=; for package in $(1); do \
	    dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed \
	        || lacking+=" $$package"; \
	done; \
	[ -z "$$lacking" ] || { \
	    command -v apt-get >/dev/null || { echo "not a Debian, so install by hand:$$lacking"; exit 1; }; \
	    $(SUDO) apt-get update -qq; \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -qq --no-install-recommends $$lacking; \
	}
endef

build-deps:
	$(call apt,ca-certificates g++ libclang-dev)
	@rustc --version 2>/dev/null | grep -qF 'rustc $(RUST).' || { \
	    command -v rustup >/dev/null \
	        || curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs \
	            | sh -s -- -y --profile minimal --default-toolchain $(RUST); \
	    rustup toolchain install $(RUST) --profile minimal; \
	}

deps: build-deps
	$(call apt,python3-venv strace)
	@{ cargo clippy --version && cargo fmt --version; } >/dev/null 2>&1 \
	    || rustup component add clippy rustfmt
	@cargo nextest --version >/dev/null 2>&1 \
	    || curl -fsSL --max-time 120 https://get.nexte.st/$(NEXTEST)/$(shell uname -m | sed 's/x86_64/linux/; s/aarch64/linux-arm/') \
	        | tar -xz -C "$$(dirname "$$(command -v cargo)")" \
	    || cargo install --locked cargo-nextest@$(NEXTEST)
