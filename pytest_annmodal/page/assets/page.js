// Draws the charts from the page's own data, and draws them again when a control moves.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = {}; // chart → result of vegaEmbed
  const turns = {}; // chart → number of its latest drawing
  const waiting = {}; // chart → its drawing under way
  const names = data.implementations;

  // Columns of the data, as one object for each point.
  data.groups.forEach((group, at) => {
    const columns = Object.entries(group.points);
    group.rows = group.points.label.map((_, index) => {
      const row = Object.fromEntries(columns.map(([name, values]) => [name, values[index]]));
      return { ...row, at, index };
    });
  });

  const theme = () => {
    const line = dark.matches ? "#3a414b" : "#d5d9df";
    const text = dark.matches ? "#e4e7eb" : "#1d2126";
    const axis = { labelColor: text, titleColor: text, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: "transparent", font: "system-ui, sans-serif", axis,
      legend: { labelColor: text, labelFontSize: 12, orient: "bottom", columns: innerWidth < 640 ? 2 : 5, labelLimit: 240, symbolOpacity: 1, symbolSize: 70 },
      text: { color: text, fontSize: 12 }, rule: { color: text }, view: { stroke: line },
    };
  };

  // The fields of a point as text, one per line.
  const formatTooltip = (fields, sanitize) => {
    const known = Object.entries(fields).filter(([, value]) => value !== "null" && value !== "");
    return `<table>${known.map(([name, value]) => `<tr><td class="key">${sanitize(name)}</td><td class="value">${sanitize(value)}</td></tr>`).join("")}</table>`;
  };

  const draw = async (id, name, rows, change = () => {}, extra = {}) => {
    const holder = by(id);
    if (!holder) return;
    const turn = (turns[id] = (turns[id] || 0) + 1);
    const spec = structuredClone(data.charts[name]);
    change(spec);
    Object.assign(spec, { datasets: { ...spec.datasets, data: rows }, config: theme(), description: holder.dataset.words, ...extra });
    // A chart is drawn once at a time; of waiting drawings only the latest is done.
    await waiting[id];
    if (turn !== turns[id]) return;
    waiting[id] = vegaEmbed(holder, spec, { actions: false, ast: true, logLevel: 1, renderer: "svg", tooltip: { theme: dark.matches ? "dark" : "light", formatTooltip } });
    drawn[id]?.finalize();
    drawn[id] = await waiting[id];
  };

  // With the given height; as wide as the page, with legend and axes.
  const tall = (height) => ({ height, autosize: { type: "fit-x", contains: "padding" } });
  const lines = (rows) => tall(Math.max(rows.length, 1) * 28);
  const shown = () => new Set([...by("implementations").querySelectorAll("input:checked")].map((box) => names[Number(box.value)]));
  const group = () => data.groups[Number(by("group").value)];
  const level = () => Number(by("level").value);
  const recallText = (value) => String(Math.floor(value * 1e4 + 1e-6) / 1e4); // never rounded up to 1
  const plain = (value) => Number(value.toPrecision(4)).toLocaleString("en");

  const frontier = () => {
    const figure = by("figure").value;
    const bit = data.figures.findIndex((item) => item.name === figure);
    const here = group(), nines = by("nines").checked, visible = shown(), others = by("others").checked;
    const rows = here.rows
      .filter((row) => visible.has(row.implementation) && row[figure] > 0)
      .map((row) => ({ ...row, x: nines ? row.nines : row.recall, y: row[figure], on: Boolean((row.frontier >> bit) & 1) }))
      .filter((row) => others || row.on);
    by("direction").textContent = data.axes[figure].better === "less" ? "to the right, and down" : "up, and to the right";
    return draw("frontier", "frontier", rows, (spec) => {
      for (const layer of spec.layer) Object.assign(layer.encoding, { x: nines ? here.nines : data.linear, y: data.axes[figure].encoding });
    }, tall(420));
  };

  const ranking = () => {
    const visible = shown(), at = level();
    const entries = group().ranking.filter((item) => visible.has(item.implementation));
    const rows = entries.filter((item) => item.qps[at]).map((item) => ({ implementation: item.implementation, qps: item.qps[at], words: plain(item.qps[at]) }));
    const missed = entries.filter((item) => !item.qps[at]).map((item) => `${item.implementation} (best ${recallText(item.best_recall)})`);
    by("unreached").textContent = missed.length ? `Not reached: ${missed.join(", ")}.` : "";
    return draw("ranks", "ranking", rows, undefined, lines(rows));
  };

  const across = () => {
    const visible = shown(), at = level();
    const rows = data.groups.flatMap((one) => {
      const known = one.ranking.filter((item) => visible.has(item.implementation) && item.qps[at]);
      const best = Math.max(...known.map((item) => item.qps[at]));
      return known.map((item) => ({ dataset: one.label, implementation: item.implementation, qps: item.qps[at], share: item.qps[at] / best }));
    });
    return draw("shares", "across", rows, undefined, lines(data.groups));
  };

  // The ticked settings, else the fastest of each implementation that reaches the level.
  const chosen = () => {
    const here = group(), visible = shown();
    const ticked = [...document.querySelectorAll("#all .pick input:checked")].map((box) => box.closest("tr").dataset.at.split(".").map(Number));
    const own = ticked.filter(([at]) => here === data.groups[at]).map(([, index]) => here.rows[index]);
    if (own.length) return own;
    return names.filter((name) => visible.has(name)).flatMap((name) => {
      const able = here.rows.filter((row) => row.implementation === name && row.recall >= data.levels[level()] && row.qps > 0);
      return able.length ? [able.reduce((best, row) => (row.qps > best.qps ? row : best))] : [];
    });
  };

  const queries = () => {
    const here = group(), rows = chosen();
    by("chosen").textContent = rows.length ? rows.map((row) => row.label).join("; ") + "." : "none reaches it.";
    const known = rows.filter((row) => row.hardest_tenth !== null);
    by("hardest").textContent = known.length ? "Mean recall, and that of the hardest tenth of the queries: " + known.map((row) => `${row.label} ${recallText(row.recall)}, ${recallText(row.hardest_tenth)}`).join("; ") + "." : "";
    const tails = rows.flatMap((row) => here.tails[row.index].map((seconds, place) => ({ label: row.label, implementation: row.implementation, ms: seconds * 1e3, share: data.tail_shares[place] })));
    const counts = rows.flatMap((row) => binned(here.recalls[row.index]).map(([recall, share]) => ({ label: row.label, implementation: row.implementation, recall, share })));
    return Promise.all([draw("tail", "tail", tails, undefined, tall(320)), draw("recalls", "recalls", counts, undefined, tall(320))]);
  };

  // Counts by number of found ids, as shares by recall; at most 21 bars.
  const binned = (counts) => {
    const total = counts.reduce((sum, count) => sum + count, 0), k = counts.length - 1;
    const width = Math.ceil(k / 20) || 1, bars = new Map();
    counts.forEach((count, found) => {
      const recall = Math.min(Math.ceil(found / width) * width, k) / k;
      bars.set(recall, (bars.get(recall) || 0) + count / total);
    });
    return total ? [...bars].map(([recall, share]) => [Number(recall.toFixed(4)), share]) : [];
  };

  const cost = () => {
    const visible = shown();
    return draw("costs", "cost", group().rows.filter((row) => visible.has(row.implementation) && row.build_s > 0 && row.index_mb > 0), undefined, tall(320));
  };

  const comparison = () => {
    const rows = group().raced.map((row, place) => ({ ...row, place }));
    return draw("compared", "comparison", rows, undefined, lines(rows));
  };

  const load = () => {
    const visible = shown();
    return draw("loads", "load", group().loads.filter((row) => visible.has(row.implementation)), undefined, tall(360));
  };

  const all = async () => {
    const words = String(data.levels[level()]);
    by("level_words").textContent = words;
    for (const part of document.querySelectorAll(".level")) part.textContent = words;
    await Promise.all([frontier(), ranking(), across(), queries(), cost(), load(), comparison()]);
    document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn || 0) + 1);
  };

  const save = (name, blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  // A spreadsheet would run a cell that begins like this.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number" || typeof value === "boolean") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const { columns, rows } = data.table;
  by("csv").addEventListener("click", () => save("results.csv", new Blob([[columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n"], { type: "text/csv" })));
  by("json").addEventListener("click", () => save("results.json", new Blob([JSON.stringify(rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]))), null, 1)], { type: "application/json" })));
  for (const button of document.querySelectorAll("[data-chart]")) {
    button.addEventListener("click", async () => {
      const { chart, format } = button.dataset;
      const view = drawn[chart].view;
      if (format === "svg") return save(`${chart}.svg`, new Blob([await view.toSVG()], { type: "image/svg+xml" }));
      (await view.toCanvas(2)).toBlob((blob) => save(`${chart}.png`, blob));
    });
  }

  for (const [place, button] of [...document.querySelectorAll("#all thead button")].entries()) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), body = document.querySelector("#all tbody");
      const down = head.classList.contains("n") ? head.ariaSort !== "descending" : head.ariaSort === "ascending";
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[place + 1].textContent;
      const less = head.classList.contains("n")
        ? (a, b) => (value(a) === "") - (value(b) === "") || (down ? -1 : 1) * (Number(value(a)) - Number(value(b)))
        : (a, b) => (down ? -1 : 1) * value(a).localeCompare(value(b), "en", { numeric: true });
      body.append(...[...body.rows].sort(less));
    });
  }

  by("level").addEventListener("input", all);
  for (const id of ["group", "implementations"]) by(id).addEventListener("change", all);
  for (const id of ["figure", "nines", "others"]) by(id).addEventListener("change", frontier);
  by("all").addEventListener("change", queries);
  dark.addEventListener("change", all);
  if (data.groups.length) all();
})();
