# SPDX-License-Identifier: MIT
#
# chart.gp - who is ahead, and how far: a row for each figure, a point for each peer, on a scale of
# factors. Right of the line at 1 weir is ahead. The bar of a point goes from the run that was worst
# for weir to the best; a hollow point is one on which the runs do not agree. From ratios.tsv:
# figure, peer, factor, least, most, 1 if unsure; the least ahead first, which is at the bottom.
#
# usage: gnuplot -e "out='DIRECTORY'" chart.gp
set datafile separator "\t"
data = out.'/ratios.tsv'

# Rows are numbered in the order of the file.
figures = system("cut -f1 '".data."' | awk '!seen[$0]++ { gsub(/ /, \"~\"); print }'")
rows = words(figures)
name(i) = system("echo '".word(figures, i)."' | tr '~' ' '")
row(f) = (sum [k = 1:rows] (name_of[k] eq f ? k : 0))

array name_of[rows]
do for [k = 1:rows] { name_of[k] = name(k) }

set terminal svg size 1000, 110 + 22 * rows font "sans-serif,12" background "white"
set output out.'/ratios.svg'
set title "times weir is ahead of its peers (left of 1: behind; hollow: unsure)"
set logscale x
set format x "%g"
set yrange [0.5:rows + 0.5]
set ytics ()
do for [k = 1:rows] { set ytics add (name_of[k] k) }
set grid xtics ytics linecolor rgb "#dddddd"
set arrow from 1, graph 0 to 1, graph 1 nohead linewidth 2 linecolor rgb "#444444"
set key below

# A little above and below each other, or the bars would hide who else is there.
peers = "floor fiber libuv go tokio"
titles = "'plain C' Boost.Fiber libuv Go Tokio"
colours = "#999999 #d62728 #2ca02c #1f77b4 #ff7f0e"
is(p, sure) = strcol(2) eq word(peers, p) && ($6 == 0) == sure
at(p) = row(strcol(1)) + 0.12 * (3 - p)
plot for [p = 1:words(peers)] data using (strcol(2) eq word(peers, p) ? $3 : NaN):(at(p)):4:5 \
		with xerrorbars pointtype 7 pointsize 0.1 linecolor rgb word(colours, p) notitle, \
	for [p = 1:words(peers)] data using (is(p, 1) ? $3 : NaN):(at(p)) \
		with points pointtype 7 pointsize 0.7 linecolor rgb word(colours, p) notitle, \
	for [p = 1:words(peers)] data using (is(p, 0) ? $3 : NaN):(at(p)) \
		with points pointtype 6 pointsize 0.7 linecolor rgb word(colours, p) notitle, \
	for [p = 1:words(peers)] NaN with points pointtype 7 pointsize 0.8 \
		linecolor rgb word(colours, p) title word(titles, p)
