# SPDX-License-Identifier: MIT
#
# chart.gp - who is ahead, and how far: a row for each figure, a point for each peer, on a scale of
# factors. Right of the line at 1 weir is ahead. From ratios.tsv: figure, peer, factor.
#
# usage: gnuplot -e "out='DIRECTORY'" chart.gp
set datafile separator "\t"
data = out.'/ratios.tsv'

# Rows are numbered in the order of the file.
figures = system("cut -f1 '".data."' | awk '!seen[$0]++ { gsub(/ /, \"~\"); print }'")
rows = words(figures)
name(i) = system("echo '".word(figures, i)."' | tr '~' ' '")
row(f) = (i = 0, sum [k = 1:rows] (name_of[k] eq f ? k : 0))

array name_of[rows]
do for [k = 1:rows] { name_of[k] = name(k) }

set terminal svg size 900, 60 + 20 * rows font "sans-serif,12" background "white"
set output out.'/ratios.svg'
set title "times weir is ahead of its peers (left of 1: behind)"
set logscale x
set format x "%g"
set yrange [rows + 0.5:0.5]
set ytics ()
do for [k = 1:rows] { set ytics add (name_of[k] k) }
set grid xtics ytics linecolor rgb "#dddddd"
set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor rgb "#444444"
set key outside right top

peers = "floor fiber libuv go tokio"
titles = "'plain C' Boost.Fiber libuv Go Tokio"
colours = "#999999 #d62728 #2ca02c #1f77b4 #ff7f0e"
plot for [p = 1:words(peers)] data \
	using (strcol(2) eq word(peers, p) ? $3 : NaN):(row(strcol(1))) \
	with points pointtype 7 pointsize 0.8 linecolor rgb word(colours, p) title word(titles, p)
