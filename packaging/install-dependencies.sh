#!/usr/bin/env bash
# Installs from apt what the named steps need and is missing: build, test, demo, check (format, tidy, fuzzers).
# Does nothing, and needs no privilege, when everything is there. A word with '=' is a package that may have come another
# way: PACKAGE=PROGRAM is there if the program is (Debian's npm cannot be installed beside a nodejs from elsewhere).
set -euo pipefail

declare -A packages=(
  [build]="g++ cmake ninja-build ccache pkg-config clang-19 libbpf-dev libpcap-dev libcli11-dev libtomlplusplus-dev
           libfmt-dev libspdlog-dev nlohmann-json3-dev libssl-dev liblzma-dev libgtest-dev libgmock-dev libbenchmark-dev
           dpdk-dev libseccomp-dev libmicrohttpd-dev libcurl4-openssl-dev libncurses-dev python3 nodejs=node npm=npm"
  [test]="python3 python3-scapy python3-pyte python3-jsonschema nfdump iproute2 ethtool nginx-light curl iperf3 iputils-ping netcat-openbsd openssh-server
          openssh-client nftables iptables ipset procps xz-utils dpdk
          mandoc man-db systemd dpkg-dev strace util-linux chromium-headless-shell"
  [demo]="iproute2 ethtool nginx-light curl iperf3 iputils-ping netcat-openbsd openssh-client python3"
  [check]="clang-19 clang-format-19 clang-tidy-19 lld-19 libclang-rt-19-dev git"
)

missing=()
for step in "$@"; do
  [ -n "${packages[$step]:-}" ] || { echo "install-dependencies: unknown step '$step' (${!packages[*]})" >&2; exit 2; }
  for package in ${packages[$step]}; do
    if [[ $package == *=* ]]; then
      command -v "${package#*=}" > /dev/null || missing+=("${package%=*}")
    else
      dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    fi
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing: ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "install-dependencies: run as root, or type: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Services that packages would start (nginx, sshd) are of no use here, and their ports may be taken.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
