#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian package of this tree: build/package/semcal_VERSION_ARCH.deb
#   scripts/package.sh [-o DIR]     DIR: where the package goes, default build/package
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/package
while [ $# -gt 0 ]; do
  case "$1" in
    -o) folder=${2:?"-o needs a folder"}; shift 2 ;;
    -h|--help) sed -n '3,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "package.sh: unknown option '$1'; usage: scripts/package.sh [-o DIR]" >&2; exit 2 ;;
  esac
done
command -v dpkg-shlibdeps >/dev/null || { echo "package.sh: needs dpkg-dev (part of build-essential)" >&2; exit 3; }

./scripts/install.sh
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS_RELEASE="-O3" -DSEMCAL_TESTS=OFF \
  -DCMAKE_INSTALL_PREFIX=/usr -DSEMCAL_ZSH_DIR=share/zsh/vendor-completions -DSEMCAL_DEBIAN=ON >"$folder/log"
cmake --build "$folder/build" >>"$folder/log" || { tail -n 30 "$folder/log" >&2; exit 3; }
(cd "$folder/build" && cpack -G DEB -B "$folder/packed" >>"$folder/log") || { tail -n 30 "$folder/log" >&2; exit 3; }
mv "$folder"/packed/*.deb "$folder"
rm -rf "$folder/packed"
ls "$folder"/semcal_*.deb
