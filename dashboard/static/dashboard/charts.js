// Draws a chart from the table beneath it: without JavaScript the table is what one sees.
(function () {
  "use strict";
  const charts = [];

  function colour(name) {
    // The browser resolves light-dark() and oklch() for an element, not for a custom property.
    const probe = document.createElement("span");
    probe.className = "chart-" + name;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  function bars(label, key, rows, name, axis) {
    return {
      type: "bar", label: label, data: rows.map((row) => Number(row.dataset[key])),
      backgroundColor: colour(name), stack: "runs", yAxisID: axis, borderRadius: 2, maxBarThickness: 18, order: 2,
    };
  }

  function dollars(value) {
    return "$" + (value !== 0 && Math.abs(value) < 1 ? value.toPrecision(2) : value.toFixed(2));
  }

  function options(axes) {
    const quiet = colour("quiet");
    const grid = { color: colour("line"), drawTicks: false };
    return {
      responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: "index", intersect: false },
      scales: Object.fromEntries([
        ["x", { stacked: true, grid: { display: false }, border: { display: false }, ticks: { color: quiet, maxTicksLimit: 8, maxRotation: 0 } }],
        ["y", { stacked: true, beginAtZero: true, suggestedMax: 4, grid: grid, border: { display: false }, ticks: { color: quiet, precision: 0, maxTicksLimit: 5 } }],
        ["score", { min: 0, max: 1, grid: grid, border: { display: false }, ticks: { color: quiet, maxTicksLimit: 5 } }],
        ["cost", { position: axes.has("y") ? "right" : "left", beginAtZero: true, grid: axes.has("y") ? { display: false } : grid, border: { display: false }, ticks: { color: quiet, maxTicksLimit: 5, callback: dollars } }],
      ].filter(([name]) => name === "x" || axes.has(name))),
      plugins: {
        legend: { align: "start", labels: { color: quiet, boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2 } },
        tooltip: { callbacks: { label: (item) => item.dataset.label + ": " + (item.dataset.yAxisID === "cost" ? "$" + item.raw : item.raw) } },
      },
    };
  }

  function line(label, key, rows, name, axis) {
    return {
      type: "line", label: label, data: rows.map((row) => row.dataset[key] ? Number(row.dataset[key]) : null),
      borderColor: colour(name), backgroundColor: colour(name), borderWidth: 1.5, pointRadius: key === "mean" ? 2 : 0,
      pointHitRadius: 8, tension: 0.25, yAxisID: axis, spanGaps: true, showLine: key !== "mean",
    };
  }

  // What each kind of chart shows of its table's rows.
  const kinds = {
    "cost": (rows) => [bars("Cost", "cost", rows, "primary", "cost")],
    "score": (rows) => [line("Seven days", "week", rows, "primary", "score"), line("Day", "mean", rows, "green", "score")],
    "runs-and-cost": (rows) => [
      bars("Completed", "completed", rows, "green", "y"), bars("Failed", "failed", rows, "red", "y"),
      bars("Other", "other", rows, "line", "y"), line("Cost", "cost", rows, "primary", "cost"),
    ],
  };

  function draw(figure) {
    const rows = Array.from(figure.querySelectorAll("tbody tr"));
    const datasets = kinds[figure.dataset.chart](rows);
    const axes = new Set(datasets.map((one) => one.yAxisID));
    const data = { labels: rows.map((row) => row.dataset.day), datasets: datasets };
    charts.push(new Chart(figure.querySelector("canvas"), { data: data, options: options(axes) }));
  }

  function drawAll() {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  drawAll();
  document.addEventListener("paid:theme", () => window.requestAnimationFrame(drawAll));
})();
