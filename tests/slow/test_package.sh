#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian package installs and works where nothing else is: in a fresh root made by debootstrap when that is possible
# (root, debootstrap, a mirror), and unpacked beside this system in any case.
set -u
source_folder=${SEMCAL_SOURCE:?}
work=$(mktemp -d)
root=$work/root
leave() {
  for place in "$root/proc" "$root/sys" "$root/dev"; do mountpoint -q "$place" && umount "$place"; done
  rm -rf --one-file-system "$work"
}
trap leave EXIT
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }
command -v dpkg-shlibdeps >/dev/null || { echo "skipped: no dpkg-dev"; exit 77; }

"$source_folder/scripts/package.sh" -o "$work/package" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
package=$(ls "$work"/package/semcal_*.deb)
for need in libhdf5 libjansson libyaml libpcre2 libutf8proc libssl libclblast ocl-icd pocl-opencl-icd; do
  dpkg-deb -f "$package" Depends | grep -q "$need" || complain "the package does not depend on $need"
done
if command -v lintian >/dev/null; then
  lintian --allow-root "$package" >"$work/lintian" 2>&1 && ! grep -q '^[EW]:' "$work/lintian" || complain "lintian: $(cat "$work/lintian")"
fi

# The things a newcomer does first, in the root they are done in; $1 goes in front of every command.
printf 'confidence,correct\n.9,1\n.8,1\n.7,0\n.4,0\n' >"$work/pairs.csv"
cat >"$work/toy.yaml" <<'YAML'
name: toy
models: [{name: t, source: toy}]
datasets: [{name: d, path: toy.jsonl, collapse: choice, choices: [alfa, bravo]}]
styles: [plain]
style: {plain: {prompt: "{question}\n", max_tokens: 8, stop: ["\n"]}}
YAML
echo '{"question": "law: alfa=0.9 bravo=0.1", "answers": "alfa"}' >"$work/toy.jsonl"
try() { # WHERE COMMAND...
  local where=$1
  shift
  "$@" >"$work/out" 2>"$work/err" || { complain "$where: '${*: -4}' exited with $?: $(tail -n 3 "$work/err")"; return 1; }
}

mkdir "$work/unpacked"
dpkg-deb -x "$package" "$work/unpacked"
program=$work/unpacked/usr/bin/semcal
try unpacked "$program" version
try unpacked "$program" calibrate "$work/pairs.csv" && grep -q smece "$work/out" || complain "unpacked: no smece"
try unpacked "$program" run "$work/toy.yaml" -o "$work/run" && try unpacked "$program" analyze "$work/run"

mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian/* ')
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null || [ -z "$mirror" ]; then
  echo "no fresh root here (root, debootstrap and a Debian mirror are needed): the package was only unpacked"
elif ! debootstrap --variant=minbase "${mirror#* }" "$root" "${mirror% *}" >"$work/log" 2>&1; then
  echo "debootstrap failed here, the package was only unpacked: $(tail -n 1 "$work/log")"
else
  cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
  for file in /etc/apt/apt.conf.d/*roxy*; do [ -f "$file" ] && cp "$file" "$root/etc/apt/apt.conf.d/"; done
  mkdir "$root/job"
  cp "$package" "$work/pairs.csv" "$work/toy.yaml" "$work/toy.jsonl" "$root/job"
  mount -t proc proc "$root/proc" 2>/dev/null || echo "no /proc in the fresh root"
  mount --bind /sys "$root/sys" 2>/dev/null || echo "no /sys in the fresh root"
  [ -e "$root/dev/urandom" ] || mount --bind /dev "$root/dev" 2>/dev/null
  inside() { chroot "$root" /usr/bin/env -C /job DEBIAN_FRONTEND=noninteractive "$@"; }
  if try "fresh root" inside apt-get update && try "fresh root" inside apt-get install -y --no-install-recommends "./$(basename "$package")"; then
    try "fresh root" inside semcal version && grep -q '^semcal ' "$work/out" || complain "fresh root: no version"
    try "fresh root" inside semcal calibrate pairs.csv
    try "fresh root" inside semcal show devices && grep -qi 'pocl\|portable' "$work/out" || complain "fresh root: no PoCL device"
    try "fresh root" inside semcal run toy.yaml -o run && try "fresh root" inside semcal analyze run
    try "fresh root" inside semcal run /usr/share/semcal/configs/quickstart.yaml -o quick --set sampling.draws=5 \
      --set datasets.world.limit=3 --set datasets.arithmetic.limit=3 && try "fresh root" inside semcal analyze quick
    [ "$failures" -ne 0 ] || echo "the package installs and runs in a fresh root"
  fi
fi
[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed"
