# The usual ways to build, try, check and measure. Each target is one command or one script that can be run by itself.
#
# Debian packages that a target needs are installed when they are lacking, with sudo where that is necessary.

SWIFT ?= swift
# What `make demo` runs: the tests' build by default, which is quick to make; `CONFIGURATION=release` takes that one.
CONFIGURATION ?= debug
# How often `make crash` kills the relay.
KILLS ?= 2000
# How many replies `make model` looks at.
REPLIES ?= 200000
# How many inputs `make fuzz` and `make fuzz-client` make.
INPUTS ?= 10000000
# Where `make install` puts things.
PREFIX ?= /usr/local
DESTDIR ?=

# What `make bench` runs, and what it needs.
benchmarks := durable-put cached-get exchanges
bench_packages := gcc=cc libc6-dev nginx=nginx python3=python3 redis-server=redis-server wrk=wrk
build_packages := libsqlite3-dev libsystemd-dev zlib1g-dev make=make pkg-config=pkg-config
# The runtime is linked in, so that the program runs where no toolchain is; exclusivity is checked by the debug build,
# which the tests use, and costs a few percent of the hot paths at run time.
release_flags := -c release --static-swift-stdlib -Xswiftc -enforce-exclusivity=unchecked
build_flags = $(if $(filter release,$(CONFIGURATION)),$(release_flags),-c $(CONFIGURATION))

.DEFAULT_GOAL := help
.PHONY: help run demo test crash model fuzz fuzz-client clients lint format bench bench-quick hits backlog
.PHONY: outages manuals build release clean packages
.PHONY: install uninstall tarball deb test-systemd test-package

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: release ## build, then run the relay with a simulated API (UPSTREAM=https://api.dexatel.com: with the real one)
	@Scripts/install-packages curl=curl
	@BIN=.build/release Scripts/run

demo: build ## tell the story of an outage, and check each step of it
	@Scripts/install-packages curl=curl python3=python3
	@BIN=.build/$(CONFIGURATION) Scripts/demo

test: packages ## build and run all tests
	@Scripts/install-packages openssl=openssl strace=strace
	@SWIFT=$(SWIFT) Scripts/test

crash: packages ## kill the relay 2 000 times under writes and a failing API (KILLS=500 for less, TEST_SEED=… to repeat)
	@Scripts/install-packages git=git
	@SWIFT=$(SWIFT) Scripts/crash $(KILLS)

model: packages ## read and write at random under a failing API, and hold every reply against the promises (REPLIES=100000 for less)
	@Scripts/install-packages git=git
	@SWIFT=$(SWIFT) Scripts/model $(REPLIES)

fuzz: packages ## feed random input to the request parser (INPUTS=1000000 for less, TEST_SEED=… to repeat)
	@Scripts/install-packages git=git
	@SWIFT=$(SWIFT) Scripts/fuzz $(INPUTS)

fuzz-client: packages ## feed random replies to the client's parser, whole and in pieces (INPUTS=100000 for less, TEST_SEED=… to repeat)
	@Scripts/install-packages git=git
	@SWIFT=$(SWIFT) Scripts/fuzz-client $(INPUTS)

clients: build ## run curl, requests, httpx, the JDK's client and others against a real relay
	@Scripts/install-packages curl=curl python3=python3 default-jdk-headless=javac
	@BIN=.build/$(CONFIGURATION) Scripts/with-python Tests/clients/run

test-systemd: build ## test the service under a real systemd, as root (TESTS=test_start.StartTests for some)
	@BIN=.build/$(CONFIGURATION) Tests/systemd/run $(TESTS)

test-package: deb ## install, upgrade, remove and purge the Debian package in a clean Debian, as root
	@BIN=.build/release Tests/package/run $(TESTS)

lint: ## check the format of the code, the documents and what is in the repository
	@Scripts/install-packages git=git python3=python3
	$(SWIFT) format lint --strict --parallel --recursive Sources Tests Package.swift
	@Scripts/with-python Scripts/check-openapi
	@Scripts/lint

format: ## format the code
	$(SWIFT) format --in-place --parallel --recursive Sources Tests Package.swift

bench: release ## measure writes against Redis, cached reads and exchanges with the upstream against nginx (BENCH="--rounds 7")
	@Scripts/install-packages $(bench_packages)
	@status=0; for benchmark in $(benchmarks); do \
		echo "=== $$benchmark"; BIN=.build/release Benchmarks/$$benchmark $(BENCH) || status=1; \
	done; exit $$status

bench-quick: release ## the same with one round of a second each, in two minutes: to see that all works, not for figures
	@Scripts/install-packages $(bench_packages)
	@status=0; for benchmark in $(benchmarks); do \
		echo "=== $$benchmark"; \
		BIN=.build/release Benchmarks/$$benchmark --rounds 1 --seconds 1 --name $$benchmark-quick || status=1; \
	done; exit $$status

hits: release ## measure cached reads with and without pending writes, for 1 000 and 1 000 000 contacts (HITS="--rounds 1")
	@Scripts/install-packages nginx=nginx python3=python3 wrk=wrk
	@BIN=.build/release Benchmarks/cached-hits $(HITS)

backlog: release ## measure start, memory and delivery with up to a million pending writes (BACKLOG="--pending 100000")
	@Scripts/install-packages nginx=nginx python3=python3 wrk=wrk
	@BIN=.build/release Benchmarks/backlog $(BACKLOG)

outages: release ## measure how soon a relay works again after its upstream was away (OUTAGES="--outages 5 30 --relays 5")
	@Scripts/install-packages python3=python3
	@BIN=.build/release Benchmarks/outages $(OUTAGES)

manuals: packages ## write manual pages and shell completions to .build/share, for a package to install
	@SWIFT=$(SWIFT) Scripts/manuals .build/share

install: release manuals ## install on this host (PREFIX=/usr/local, DESTDIR=)
	@Scripts/install-packages binutils=strip
	@SWIFT=$(SWIFT) BIN=.build/release DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) Scripts/install

uninstall: ## take it away again; configuration and state stay
	@DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) Scripts/install --uninstall

tarball: release manuals ## make dist/contact-relay-VERSION-linux-ARCHITECTURE.tar.gz, for hosts without Debian's packages
	@Scripts/install-packages binutils=strip
	@SWIFT=$(SWIFT) BIN=.build/release Scripts/build-tarball

deb: release manuals ## make dist/contact-relay_VERSION_ARCHITECTURE.deb
	@Scripts/install-packages debhelper=dh dpkg-dev=dpkg-buildpackage lintian=lintian
	@SWIFT=$(SWIFT) BIN=.build/release Scripts/build-deb

clean: ## remove what was built; ./var, where `make run` keeps its state, stays
	$(SWIFT) package clean
	rm -rf dist

packages:
	@Scripts/install-packages $(build_packages)

build: packages
	$(SWIFT) build $(build_flags) --product contact-relay
	$(SWIFT) build $(build_flags) --product dexatel-simulator

release: packages
	$(SWIFT) build $(release_flags) --product contact-relay
	$(SWIFT) build $(release_flags) --product dexatel-simulator
