// Draws an experiment's charts from the tables beneath them: without JavaScript the tables are what one sees.
(function () {
  "use strict";
  const charts = [];
  const tones = ["quiet", "accent", "green", "red"];

  function colour(name) {
    // The browser resolves light-dark() and oklch() for an element, not for a custom property.
    const probe = document.createElement("span");
    probe.className = "chart-" + name;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  function faint(value) {
    // A canvas is the one place that turns any colour into numbers.
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d");
    pen.fillStyle = value;
    pen.fillRect(0, 0, 1, 1);
    const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
    return "rgba(" + red + "," + green + "," + blue + ",0.16)";
  }

  function number(text) {
    return text === "" ? null : Number(text);
  }

  function options(xTitle, xTicks, yTicks) {
    const quiet = colour("quiet");
    return {
      responsive: true, maintainAspectRatio: false, animation: false,
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: { type: "linear", grid: { display: false }, border: { display: false },
          title: { display: Boolean(xTitle), text: xTitle, color: quiet }, ticks: Object.assign({ color: quiet, maxTicksLimit: 7, maxRotation: 0, includeBounds: false }, xTicks) },
        y: { border: { display: false }, ticks: Object.assign({ color: quiet, maxTicksLimit: 6, includeBounds: false }, yTicks),
          grid: { color: (line) => colour(line.tick && line.tick.value === 0 ? "quiet" : "line"), drawTicks: false } },
      },
      plugins: { legend: { align: "start", labels: { color: quiet, boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2 } } },
    };
  }

  function line(label, points, tone) {
    return { label: label, data: points, borderColor: tone, backgroundColor: tone, borderWidth: 1.75, pointRadius: 0, pointHitRadius: 8, spanGaps: true };
  }

  function drawInterval(figure) {
    const rows = Array.from(figure.querySelectorAll("tbody tr"));
    const points = (key) => rows.map((row) => ({ x: Number(row.dataset.x), y: number(row.dataset[key]) }));
    const tone = colour("accent");
    const band = { borderColor: "transparent", backgroundColor: faint(tone), pointRadius: 0, pointHitRadius: 0 };
    const highs = points("high"), lows = points("low");
    // The first issues say nothing yet: their interval would make the rest a flat line.
    const late = rows.slice(Math.floor(rows.length / 8));
    const ends = late.flatMap((row) => [Number(row.dataset.low), Number(row.dataset.high)]);
    const chosen = options("issues", { precision: 0 }, {});
    chosen.scales.x.min = 0;
    chosen.scales.x.max = Number(rows[rows.length - 1].dataset.x);
    chosen.scales.y.min = Math.min(...ends);
    chosen.scales.y.max = Math.max(...ends);
    chosen.scales.y.title = { display: true, text: figure.dataset.unit, color: colour("quiet") };
    chosen.scales.y.ticks.callback = (value) => (value > 0 ? "+" : "") + Number(value.toPrecision(3)).toString().replace("-", "−");
    chosen.plugins.legend.labels.filter = (item) => item.text !== "";
    chosen.plugins.tooltip = {
      filter: (item) => item.datasetIndex === 2,
      callbacks: {
        title: (items) => (items.length ? items[0].parsed.x + " issues" : ""),
        label: (item) => "Effect " + item.parsed.y.toFixed(2) + " (" + lows[item.dataIndex].y.toFixed(2) + " to " + highs[item.dataIndex].y.toFixed(2) + ")",
      },
    };
    const data = { datasets: [
      Object.assign({ label: "", data: lows, fill: false }, band),
      Object.assign({ label: "Interval, valid at every look", data: highs, fill: "-1" }, band),
      line("Effect", points("effect"), tone),
    ] };
    charts.push(new Chart(figure.querySelector("canvas"), { type: "line", data: data, options: chosen }));
  }

  function drawRolling(figure) {
    const rows = Array.from(figure.querySelectorAll("tbody tr"));
    const names = Array.from(new Set(rows.map((row) => row.dataset.variant)));
    const days = new Map(rows.map((row) => [Number(row.dataset.at), row.dataset.day]));
    const day = (value) => new Date(value * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    const moments = rows.map((row) => Number(row.dataset.at));
    const chosen = options("", { callback: (value) => day(value) }, { callback: (value) => Math.round(value * 100) + " %" });
    chosen.scales.x.min = Math.min(...moments);
    chosen.scales.x.max = Math.max(...moments);
    chosen.plugins.tooltip = { callbacks: {
      title: (items) => (items.length ? days.get(items[0].parsed.x) || "" : ""),
      label: (item) => item.dataset.label + ": " + (item.parsed.y * 100).toFixed(1) + " % of " + item.raw.runs + " runs",
    } };
    const data = { datasets: names.map((name, place) => {
      const own = rows.filter((row) => row.dataset.variant === name);
      const points = own.map((row) => ({ x: Number(row.dataset.at), y: Number(row.dataset.mean), runs: row.dataset.runs }));
      return line(name, points, colour(tones[place % tones.length]));
    }) };
    charts.push(new Chart(figure.querySelector("canvas"), { type: "line", data: data, options: chosen }));
  }

  function drawAll() {
    charts.splice(0).forEach((chart) => chart.destroy());
    document.querySelectorAll("[data-interval-chart]").forEach(drawInterval);
    document.querySelectorAll("[data-rolling-chart]").forEach(drawRolling);
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  drawAll();
  document.addEventListener("paid:theme", () => window.requestAnimationFrame(drawAll));
})();
