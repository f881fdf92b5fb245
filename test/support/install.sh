#!/usr/bin/env bash
# Installs the Debian packages named, as root, without starting any service of theirs. Several runs at once take turns.
set -euo pipefail

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "install them yourself: this needs root and apt-get" >&2
  exit 1
fi

exec 9>/var/lock/busgate-install
flock 9

missing=()
for package in "$@"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
fi

export DEBIAN_FRONTEND=noninteractive
install() { apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" </dev/null >&2; }
# Somebody else's update may hold the lists' lock, for which apt-get does not wait.
update() {
  for _ in $(seq 60); do
    apt-get -q update >&2 && return
    sleep 2
  done
  return 1
}
install || { update && install; }
