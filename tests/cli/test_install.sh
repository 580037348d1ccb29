#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cmake --install gives a package that others can use: everything is in its place, and a ten-line program builds against
# the library in both usual ways and runs.
set -u
build=${SEMCAL_BUILD:?}
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() { echo "FAILED: $1" >&2; failures=$((failures + 1)); }
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" >"$work/log" 2>&1 || { cat "$work/log" >&2; echo "install failed" >&2; exit 1; }

for place in bin/semcal include/semcal.h share/semcal/cl/rows.cl share/semcal/configs/quickstart.yaml \
  share/man/man1/semcal.1 share/man/man5/semcal-config.5 share/man/man5/semcal-results.5 \
  share/bash-completion/completions/semcal share/zsh/site-functions/_semcal \
  share/fish/vendor_completions.d/semcal.fish share/doc/semcal/CHANGELOG.md \
  share/doc/semcal/README.md share/doc/semcal/THEORY.md share/doc/semcal/LICENSE; do
  [ -s "$prefix/$place" ] || complain "$place is not installed"
done
pc=$(find "$prefix" -name semcal.pc)
library=$(find "$prefix" -name 'libsemcal.*' | head -n 1)
[ -n "$pc" ] && [ -n "$library" ] || complain "no library or no semcal.pc"
"$prefix/bin/semcal" show config >/dev/null || complain "the installed program does not run"

cat >"$work/consumer.c" <<'C'
#include <semcal.h>
#include <stdio.h>

int main(void)
{
    const double confidence[] = {.9, .8, .7, .4}, correct[] = {1, 1, 0, 0};
    semcal_error error = SEMCAL_ERROR_INIT;
    semcal_calibration result;
    semcal_status status = semcal_calibration_compute(&result, confidence, correct, 4, NULL, &error);
    printf("semcal %s: %s%.3f\n", semcal_version(), error.message, status == SEMCAL_OK ? result.accuracy : -1);
    return semcal_status_exit_code(status);
}
C
version=$("$prefix/bin/semcal" version | cut -d ' ' -f 2)
expected="semcal $version: 0.500"
compiler=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
flags=$(sed -n 's/^CMAKE_C_FLAGS:[A-Z]*=//p' "$build/CMakeCache.txt")

export PKG_CONFIG_PATH=$(dirname "$pc")
# shellcheck disable=SC2046,SC2086
"$compiler" -std=c11 -Wall -Wextra -Wpedantic -Werror $flags $(pkg-config --cflags semcal) "$work/consumer.c" -o "$work/by_pkg_config" \
  $(pkg-config --static --libs semcal) 2>"$work/err" || complain "pkg-config: $(head -n 5 "$work/err")"
[ "$("$work/by_pkg_config" 2>&1)" = "$expected" ] || complain "pkg-config: '$("$work/by_pkg_config" 2>&1)' is not '$expected'"
[ "$(pkg-config --modversion semcal)" = "$version" ] || complain "semcal.pc has another version"
unset PKG_CONFIG_PATH

mkdir "$work/project"
cp "$work/consumer.c" "$work/project"
cat >"$work/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(semcal 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE semcal::semcal)
CMAKE
{ cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$compiler" \
  -DCMAKE_C_FLAGS="$flags" && cmake --build "$work/project/build"; } >"$work/log" 2>&1 || complain "find_package: $(tail -n 12 "$work/log")"
[ "$("$work/project/build/consumer" 2>&1)" = "$expected" ] || complain "find_package: the consumer does not run"

[ "$failures" -eq 0 ] || { echo "$failures check(s) failed" >&2; exit 1; }
echo "all checks passed"
