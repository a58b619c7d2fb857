// The plot of what reconciliations repaired, which follows the list of jobs.
"use strict";
(() => {
  const at = document.getElementById("plot-repairs");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const day = (t) => `${two(t.getMonth() + 1)}-${two(t.getDate())} ${two(t.getHours())}:${two(t.getMinutes())}`;
  let drawn = "";
  let plot = null;
  const draw = () => {
    const text = document.getElementById("job-rows")?.dataset.repairs || "[]";
    if (text === drawn) return;
    drawn = text;
    const points = JSON.parse(text);
    document.getElementById("no-repairs").hidden = points.length > 0;
    at.hidden = !points.length;
    plot?.destroy();
    plot = null;
    if (!points.length) return;
    const names = Object.keys(points[0].repairs);
    const colours = [css("--accent"), css("--good"), css("--warn"), css("--bad")];
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
    plot = new uPlot({ width: at.clientWidth, height: 180, cursor: { show: false }, legend: { live: false }, axes: [{ ...axis, size: 28, space: 90, values: (u, at) => at.map((t) => day(new Date(t * 1000))) }, { ...axis, size: 44, incrs: [1, 2, 5, 10, 50, 100, 1000, 10000, 100000, 1000000] }],
      series: [{}, ...names.map((label, i) => ({ label, stroke: colours[i % colours.length], width: 1.6, points: { show: true, size: 6 } }))],
      scales: { x: { range: (u, lo, hi) => (points.length === 1 ? [lo - 3600, lo + 3600] : [lo, hi]) }, y: { range: (u, lo, hi) => [0, Math.max(hi || 0, 1) * 1.1] } } },
      [points.map((p) => p.at), ...names.map((c) => points.map((p) => p.repairs[c]))], at);
  };
  draw();
  document.getElementById("jobs").addEventListener("renewed", draw);
  window.addEventListener("resize", () => plot?.setSize({ width: at.clientWidth, height: 180 }));
})();
