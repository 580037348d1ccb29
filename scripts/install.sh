#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing need and this machine lacks, from the distribution's packages.
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config git
          ocl-icd-libopencl1 ocl-icd-opencl-dev opencl-headers pocl-opencl-icd libclblast-dev
          libhdf5-dev hdf5-tools libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev libssl-dev libcmocka-dev
          libopenblas-dev gnuplot-nox python3 python3-h5py python3-xarray python3-h5netcdf python3-scipy python3-matplotlib)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install.sh: needs root or sudo to install: ${missing[*]}" >&2; exit 3; }
  as_root=(sudo)
fi
echo "install.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
