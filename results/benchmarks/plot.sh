#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Figures of the CSV files beside this script; needs gnuplot.  Run from anywhere.
set -eu
cd "$(dirname "$0")"
strip() { grep -v '^#' "$1"; }
strip job_sharing.csv >.sharing.tmp # columns 7, 8: over llama.cpp in fp32 and bf16
forwards=$(strip growth_draws.csv | awk -F, 'NR == 2 { print $6 }')
seconds=$(strip growth_draws.csv | awk -F, 'NR == 2 { print $3 }')
trap 'rm -f .sharing.tmp' EXIT
for kind in svg png; do
  if [ "$kind" = svg ]; then terminal='svg size 720,480 font "sans,13"'; else terminal='pngcairo size 960,640 font "sans,12"'; fi
  gnuplot <<GNUPLOT
set datafile separator ","
set terminal $terminal
set key left top
set grid lc rgb "#dddddd"

set output "job_sharing.$kind"
set title "50 draws of 16 tokens with log-probabilities, Qwen2.5-0.5B shape, two cores"
set xlabel "draws per forward pass (1: nothing shared)"
set ylabel "times the questions per hour of the peer"
set yrange [0:*]
set xrange [1:*]
plot ".sharing.tmp" every ::1 using 2:8 with linespoints pt 5 lw 2 title "gemm: bf16 over llama.cpp bf16, batch of 50", \
     "" every ::1 using 2:7 with linespoints pt 7 lw 2 title "fp32 activations (default) over the same", \
     1 with lines dt 2 lc rgb "#888888" title "equal", 3 with lines dt 3 lc rgb "#888888" title "three times"

set output "growth_questions.$kind"
set title "semcal run: time and memory over questions (quickstart, base, concise, 50 draws)"
set xlabel "questions"
set ylabel "seconds"
set y2label "peak memory, MB"
set y2tics
set ytics nomirror
set xrange [0:*]
set y2range [0:*]
plot "growth_questions.csv" using "questions":"seconds" with linespoints pt 7 lw 2 title "seconds", \
     "" using "questions":"peak_mb" axes x1y2 with linespoints pt 5 lw 2 title "peak memory"

set output "growth_draws.$kind"
set title "semcal run: tokens and time over draws (quickstart, base, concise, 250 questions)"
set xlabel "draws per question"
set ylabel "tokens through the model, relative to 10 draws"
set y2label "seconds, relative to 10 draws"
set logscale xyy2
set xrange [8:1300]
set yrange [1:120]
set y2range [1:120]
plot "growth_draws.csv" using (column("draws")):(column("forward_tokens") / $forwards) with linespoints pt 7 lw 2 title "tokens through the model", \
     "" using (column("draws")):(column("seconds") / $seconds) with linespoints pt 5 lw 2 title "seconds", \
     x / 10 with lines dt 2 lc rgb "#888888" title "in proportion"
GNUPLOT
done
