#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A run goes on where it was moved to together with its data, and beside a copy of them; never with other data.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
mkdir here && cd here || exit 1
toy_data 30
"$semcal" run toy.yaml -o run 2>/dev/null || complain "the first run failed"
cp -r ../here ../copied
cd .. && mv here there && cd there || exit 1
expect 0 "1 of 1 cells done (1 of them before)" "$semcal" run toy.yaml -o run
grep -q '/there/' run/resolved.yaml || complain "resolved.yaml still names the old place"
# both places exist: contents decide
expect 0 "1 of them before" "$semcal" run ../copied/toy.yaml -o run
sed -i 's/fillers=2/fillers=1/' ../copied/toy.jsonl
expect 2 "dataset_sha256" "$semcal" run ../copied/toy.yaml -o run
expect 2 "another configuration" "$semcal" run toy.yaml -o run
sed -i 's/fillers=1/fillers=2/' ../copied/toy.jsonl
# moved and changed: the digest that the cell keeps tells
expect 0 "" "$semcal" run toy.yaml -o run
cd .. && mv there elsewhere && cd elsewhere || exit 1
sed -i 's/fillers=2/fillers=1/' toy.jsonl
expect 2 "dataset_sha256" "$semcal" run toy.yaml -o run
sed -i 's/fillers=1/fillers=2/' toy.jsonl
expect 2 "another configuration" "$semcal" run toy.yaml -o run --set seed=9
expect 0 "" "$semcal" run toy.yaml -o run
finish
