#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 10^8 draws from a law with 10^5 tokens of 1e-9.
set -euo pipefail
SEMCAL_RARE_DRAWS=100000000 "$SEMCAL_BUILD/tests/kernel_test_rows_draws"
