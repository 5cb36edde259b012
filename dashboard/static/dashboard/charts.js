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

  function bars(label, key, rows, name) {
    return {
      type: "bar", label: label, data: rows.map((row) => Number(row.dataset[key])),
      backgroundColor: colour(name), stack: "runs", yAxisID: "y", borderRadius: 2, maxBarThickness: 18, order: 2,
    };
  }

  function dollars(value) {
    return "$" + (value !== 0 && Math.abs(value) < 1 ? value.toPrecision(2) : value.toFixed(2));
  }

  function options() {
    const quiet = colour("quiet");
    const grid = { color: colour("line"), drawTicks: false };
    return {
      responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, border: { display: false }, ticks: { color: quiet, maxTicksLimit: 8, maxRotation: 0 } },
        y: { stacked: true, beginAtZero: true, suggestedMax: 4, grid: grid, border: { display: false }, ticks: { color: quiet, precision: 0, maxTicksLimit: 5 } },
        cost: { position: "right", beginAtZero: true, grid: { display: false }, border: { display: false }, ticks: { color: quiet, maxTicksLimit: 5, callback: dollars } },
      },
      plugins: {
        legend: { align: "start", labels: { color: quiet, boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2 } },
        tooltip: { callbacks: { label: (item) => item.dataset.label + ": " + (item.dataset.yAxisID === "cost" ? "$" + item.raw : item.raw) } },
      },
    };
  }

  function draw(figure) {
    const rows = Array.from(figure.querySelectorAll("tbody tr"));
    const data = {
      labels: rows.map((row) => row.dataset.day),
      datasets: [
        bars("Completed", "completed", rows, "green"),
        bars("Failed", "failed", rows, "red"),
        bars("Other", "other", rows, "line"),
        { type: "line", label: "Cost", data: rows.map((row) => Number(row.dataset.cost)), borderColor: colour("primary"),
          backgroundColor: colour("primary"), borderWidth: 1.5, pointRadius: 0, pointHitRadius: 8, tension: 0.25, yAxisID: "cost", order: 1 },
      ],
    };
    charts.push(new Chart(figure.querySelector("canvas"), { data: data, options: options() }));
  }

  function drawAll() {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  drawAll();
  document.addEventListener("paid:theme", () => window.requestAnimationFrame(drawAll));
})();
