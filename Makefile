# What a newcomer types. CMake does the work; this file only names it and installs what it needs.
#   make build   the release program, at build/ringplane
#   make test    everything that can be tested on this machine (as root: also AF_XDP and the labs)
#   make demo    real clients and servers through the firewall, in three network namespaces (root)
BUILD := build
JOBS := $(shell nproc)
.DEFAULT_GOAL := build
.PHONY: build test demo bench clean

build:
	packaging/install-dependencies.sh build
	cmake --preset release
	cmake --build $(BUILD) --target ringplane -j $(JOBS)

test:
	packaging/install-dependencies.sh build test
	cmake --preset release
	cmake --build $(BUILD) -j $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

demo:
	packaging/install-dependencies.sh build demo
	cmake --preset release
	cmake --build $(BUILD) --target ringplane -j $(JOBS)
	lab/demo.py

clean:
	rm -rf build build-asan build-tsan build-tidy build-each
