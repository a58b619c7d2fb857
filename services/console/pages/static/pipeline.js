// The plots of the pipeline, fed by the page's stream of events.
"use strict";
document.addEventListener("DOMContentLoaded", () => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = [css("--accent"), css("--good"), css("--warn"), css("--bad"), css("--soft"), css("--text")];
  const clock = (t) => [t.getHours(), t.getMinutes(), t.getSeconds()].map(two).join(":");
  const all = [];
  const plots = [];
  const plot = (id, names, values, unit = (n) => String(n)) => {
    const at = document.getElementById(id);
    const axis = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, size: 52 };
    const series = names.map((label, i) => ({ label, stroke: colours[i % colours.length], width: 1.6, points: { show: false } }));
    const made = new uPlot({ width: at.clientWidth, height: 150, legend: { show: names.length > 1, live: false }, cursor: { show: false },
      axes: [{ ...axis, size: 28, space: 70, values: (u, at) => at.map((t) => clock(new Date(t * 1000))) }, { ...axis, values: (u, at) => at.map(unit) }], series: [{}, ...series], scales: { y: { range: (u, lo, hi) => [0, Math.max(hi || 0, 1) * 1.1] } } }, [[], ...names.map(() => [])], at);
    plots.push({ made, at, draw: () => made.setData([all.map((s) => s.at), ...values().map((f) => all.map(f))]) });
  };
  const stage = (name) => (s) => (s.stages || []).find((x) => x.name === name)?.rate ?? null;
  const begin = () => {
    const names = (all.at(-1)?.stages || []).map((s) => s.name);
    plot("plot-rate", names, () => names.map(stage));
    plot("plot-latency", ["median", "95 %", "99 %"], () => ["p50", "p95", "p99"].map((name) => (s) => (s.writes ? s[name] : null)), (ms) => (ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`));
    plot("plot-waiting", ["messages", "rows"], () => [(s) => (s.stages || []).reduce((n, x) => n + x.behind, 0), (s) => s.waiting]);
  };
  const draw = () => { if (!plots.length && all.length) begin(); plots.forEach((p) => p.draw()); };
  document.body.addEventListener("htmx:sseOpen", (event) => {
    const source = event.detail.source;
    source.addEventListener("history", (e) => { all.splice(0, all.length, ...(JSON.parse(e.data) || [])); draw(); });
    source.addEventListener("sample", (e) => { all.push(JSON.parse(e.data)); if (all.length > 450) all.shift(); draw(); });
  });
  window.addEventListener("resize", () => plots.forEach((p) => p.made.setSize({ width: p.at.clientWidth, height: 150 })));
});
