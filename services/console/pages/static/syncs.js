// The plot of what reconciliations repaired, by cause.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const at = document.getElementById("plot-repairs");
  const points = JSON.parse(at.dataset.points || "[]");
  if (!points.length) { document.getElementById("no-repairs").hidden = false; return; }
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = [css("--accent"), css("--good"), css("--warn"), css("--bad"), css("--soft")];
  const causes = [...new Set(points.flatMap((p) => Object.keys(p.effects || {})))].sort();
  const names = causes.length ? causes : ["repairs"];
  const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, size: 44 };
  new uPlot({ width: at.clientWidth, height: 180, cursor: { show: false }, legend: { live: false }, axes: [{ ...axis, size: 28 }, axis],
    series: [{}, ...names.map((label, i) => ({ label, stroke: colours[i % colours.length], width: 1.6, points: { show: true, size: 6 } }))],
    scales: { y: { range: (u, lo, hi) => [0, Math.max(hi || 0, 1) * 1.1] } } },
    [points.map((p) => p.at), ...names.map((c) => points.map((p) => (p.effects || {})[c] || 0))], at);
});
