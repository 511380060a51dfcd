// Package chart draws the dashboard's figures as SVG.
//
// Each chart is a value with a method HTML: data in, a <figure> out, no I/O and
// no clock, so that the same data give the same bytes.
//
//	figure.chart
//	├── figcaption       title, and the summary that stands for the whole picture
//	├── ul.legend
//	├── div.plot > svg   the drawing, with a g.point for each column
//	└── details > table  the exact values
//
// # Widths
//
// A drawing has no scale of its own: horizontally everything is a share of the
// width that there is ("12.5%"), vertically it is pixels. So text keeps its size
// from 320 px to a wall screen, and the height is known before anything is laid
// out. Only lines and bands, whose paths know no percentages, stand in an inner
// <svg preserveAspectRatio="none"> that is stretched; their strokes are not.
//
// # Numbers
//
// Values are decimal and are shown by the caller's Format. Positions are whole
// numbers, hundredths of a percent across and tenths of a pixel down, divided
// out of the decimals: no float is near. A value that is not known is a gap; it
// is neither zero nor left out of a sum silently: such a sum says "at least".
//
// # Content-Security-Policy
//
// There is no style and no script in the markup, only classes and presentation
// attributes. Colours, dashes and the tooltip are those of
// admin/assets/chart.css and chart.js. All text is escaped in one place, markup.
package chart
