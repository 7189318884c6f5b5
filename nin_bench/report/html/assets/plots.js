// Effects

function plotEffects(width) {
  const titles = [...new Set(data.effects.map((row) => row.panel))];
  const gap = isPrinting() ? 56 : width < STACKED_BELOW ? 84 : 70; // pixels between panels
  const room = (PRINTED_HEIGHT - gap * titles.length) / data.effects.length;
  const pitch = isPrinting() ? Math.max(34, Math.min(62, room)) : 62; // of a row
  const letters = Math.floor(width / 7);
  const plotHeight = pitch * data.effects.length + gap * (titles.length - 1);
  const layout = { plotHeight, annotations: [], showlegend: false, margin: { l: 12, r: 12, t: 28, b: 56 } };
  let top = plotHeight;
  const traces = titles.flatMap((panel, number) => {
    const rows = data.effects.filter((row) => row.panel === panel);
    const name = number ? String(number + 1) : "";
    const axes = { xaxis: `x${name}`, yaxis: `y${name}` };
    const isShare = panel.startsWith("share of pairs");
    const scale = panel.endsWith("points") || isShare ? 100 : 1;
    const ends = rows.flatMap((row) => [row.value, ...(row.interval ?? []), ...row.decides]).map((end) => end * scale);
    const isLog = rows[0].is_factor && ends.every((end) => end > 0);
    const [low, high] = isShare ? [0, 100] : [Math.min(...ends, isLog ? 0.9 : 0), Math.max(...ends, isLog ? 1.1 : 0)];
    const beyond = isLog ? (high / low) ** 0.06 : 0.06 * (high - low || 1);
    const range = isLog ? [low / beyond, high * beyond] : [low - beyond, high + beyond];
    const shown = (value) => (rows[0].is_factor ? "×" : "") + Number((value * scale).toPrecision(3)).toLocaleString("en").replace("-", "−");
    const title = (panel + (isShare ? ", %" : "")).replace(" (", width < STACKED_BELOW ? "<br>(" : " (");
    const height = pitch * rows.length;
    layout[`xaxis${name}`] = {
      ...(isLog ? logAxis(title, range, (value) => `×${Number(value.toPrecision(3))}`) : axis(title)),
      anchor: `y${name}`, range: isLog ? range.map(Math.log10) : range,
    };
    layout[`yaxis${name}`] = axis("", { anchor: `x${name}`, range: [rows.length - 0.5, -0.5], domain: [(top - height) / plotHeight, top / plotHeight], showticklabels: false, ticks: "", showgrid: false, showline: false });
    top -= height + gap;
    // a row's lower half holds its marks, the upper one its name
    const stretch = ([from, to], at) => ({ x: [from, to, to, from, from, null], y: [at, at, at + 0.48, at + 0.48, at, null] });
    const fields = rows.map(({ holds }, at) => stretch(holds.map((end, side) => (end === null ? range[side] : end * scale)), at));
    const linesAt = (places) => rows.flatMap((row, at) => places(row).map((place) => stretch([place, place], at)));
    const still = { ...axes, mode: "lines", hoverinfo: "skip" };
    const joined = (parts) => ({ ...still, x: parts.flatMap(({ x }) => x), y: parts.flatMap(({ y }) => y) });
    rows.forEach(({ id, verdict, contrast: [a, b], is_factor }, at) => layout.annotations.push({
      xref: `${axes.xaxis} domain`, yref: axes.yaxis, x: 0, y: at - 0.02, xanchor: "left", yanchor: "bottom", align: "left",
      showarrow: false, borderpad: 0, bgcolor: themeColor("page"),
      text: `${plotText(shortened(id, letters))}: ${plotText(verdict)}${isPrinting() ? ", " : "<br>"}${plotText(contrastIn(a, is_factor ? "/" : "−", b, letters))}`,
      font: { color: themeColor(verdict.replace(" ", "-")) },
    }));
    return [
      { ...joined(fields), fill: "toself", fillcolor: themeColor("line"), line: { width: 0 } },
      { ...joined(isLog || isShare ? [] : linesAt(() => [0])), line: { width: 1, color: themeColor("quiet") } },
      { ...joined(linesAt(({ decides }) => decides.map((end) => end * scale))), line: { width: 1.5, color: themeColor("text") } },
      ...rows.map((row, at) => {
        const color = themeColor(row.verdict.replace(" ", "-"));
        const value = row.value * scale;
        const [from, to] = (row.interval ?? [row.value, row.value]).map((end) => end * scale);
        return {
          ...axes, mode: "markers", x: [value], y: [at + 0.24], hoverinfo: "text", marker: { size: 10, color, symbol: row.verdict === "undecided" ? "circle-open" : "circle", line: { width: 2, color } },
          error_x: row.interval ? { type: "data", symmetric: false, array: [to - value], arrayminus: [value - from], color, thickness: 2, width: 5 } : undefined,
          text: [[
            `${plotText(row.id)}: ${plotText(row.verdict)}, ${row.n === null ? "exact" : `n = ${row.n}`}`,
            plotText(shortened(row.says, 70)),
            `A is ${plotText(row.compare[0])}, B is ${plotText(row.compare[1])}`,
            `${plotText(panel)}: ${shown(row.value)}${row.interval ? `, interval ${row.interval.map(shown).join(" to ")}` : ""}`,
          ].join("<br>")],
        };
      }),
    ];
  });
  return { traces, layout };
}

// Both sides of a claim, each with its share of the letters, so that none is lost.
function contrastIn(a, sign, b, letters) {
  const half = Math.floor((letters - 3) / 2);
  const [left, right] = [Math.max(half, letters - 3 - b.length), Math.max(half, letters - 3 - a.length)];
  return `${shortened(a, left)} ${sign} ${shortened(b, right)}`;
}

// Curves

function seedTraces(variantId, column, scale, color, axes) {
  return [false, true].map((unwell) => {
    const trace = { ...axes, x: [], y: [], text: [], customdata: [], mode: "lines", hoverinfo: "text", legendgroup: variantId, showlegend: false, line: { color, width: 1, dash: unwell ? "dash" : "solid" } };
    cellsOf(variantId).filter((at) => isUnwell(at) === unwell).forEach((at) => {
      const curve = data.cell_curves[data.cells.cell_id[at]]?.[column];
      if (!curve) return;
      curve.epoch.forEach((epoch, place) => {
        trace.x.push(epoch);
        trace.y.push(curve.value[place]);
        trace.text.push(`${cellTitle(at)}<br>epoch ${epoch}: ${scale(curve.value[place])}`);
        trace.customdata.push(at);
      });
      for (const list of [trace.x, trace.y, trace.text, trace.customdata]) list.push(null);
    });
    return trace;
  }).filter((trace) => trace.x.length);
}

function bandTrace(curve, color, axes) {
  return {
    ...axes, x: [...curve.epoch, ...[...curve.epoch].reverse()], y: [...curve.high, ...[...curve.low].reverse()],
    mode: "lines", fill: "toself", line: { width: 0 }, fillcolor: faded(color, 0.18), hoverinfo: "skip", showlegend: false,
  };
}

function meanTrace(variant, curve, scale, width, others = {}) {
  return {
    x: curve.epoch, y: curve.mean, mode: "lines+markers", hoverinfo: "text", name: legendName(variant.name, width), legendgroup: variant.id, showlegend: true,
    line: { color: ink(variant), width: 2.5 }, marker: { symbol: variant.symbol, size: 7 },
    text: curve.epoch.map((epoch, at) => `${plotText(variant.name)}<br>epoch ${epoch}: ${scale(curve.mean[at])} (${scale(curve.low[at])} to ${scale(curve.high[at])}, n=${curve.n[at]})`),
    ...others,
  };
}

const asPercent = (share) => percent(share);
const asNats = (loss) => loss.toFixed(3);

function chanceTrace(level, epochs, scale, axes = {}) {
  return {
    ...axes, x: epochs, y: epochs.map(() => level), mode: "lines", hoverinfo: "text", text: epochs.map(() => `chance: ${scale(level)}`),
    name: "chance", line: { color: themeColor("quiet"), width: 1, dash: "dot" },
  };
}

// Where cells end that the axis is too short for: a mark on its edge, a click on which shows the first of them.
function endsBelow(variant, column, scale, floor) {
  const last = (at) => data.cell_curves[data.cells.cell_id[at]]?.[column]?.value.at(-1) ?? Infinity;
  const cells = cellsOf(variant.id).filter((at) => last(at) < floor);
  if (!cells.length) return [];
  return [{
    x: [Math.max(...cells.map((at) => data.cell_curves[data.cells.cell_id[at]][column].epoch.at(-1)))], y: [floor], yaxis: "y", customdata: [cells[0]],
    mode: "markers", cliponaxis: false, showlegend: false, hoverinfo: "text", marker: { symbol: "triangle-down-open", size: 10, color: ink(variant), line: { width: 2 } },
    text: [cells.map((at) => `${cellTitle(at)} ends at ${scale(last(at))}`).join("<br>")],
  }];
}

function curvesPlot(column, title, chance, scale, tickformat) {
  const withCurves = () => data.variants.filter((variant) => data.curves[column]?.[variant.id] || seedTraces(variant.id, column, scale, "", {}).length);
  function make(width, chosen) {
    const traces = [];
    for (const variant of withCurves()) {
      const curve = data.curves[column]?.[variant.id];
      if (chosen && chosen !== variant.id) {
        if (curve) traces.unshift({ ...meanTrace(variant, curve, scale, width), mode: "lines", line: { color: themeColor("faint"), width: 1 }, showlegend: false });
        continue;
      }
      if (curve && chosen) traces.push(bandTrace(curve, ink(variant), {}));
      traces.push(...seedTraces(variant.id, column, scale, faded(ink(variant), chosen || isDark() ? 0.7 : 0.35), {}));
      traces.push(meanTrace(variant, curve ?? { epoch: [null], mean: [null], low: [0], high: [0], n: [0] }, scale, width));
    }
    const epochs = traces.flatMap((trace) => trace.x).filter((epoch) => epoch !== null);
    const floor = data.curve_spans[column]?.[0] ?? -Infinity;
    traces.push(...withCurves().filter((variant) => !chosen || chosen === variant.id).flatMap((variant) => endsBelow(variant, column, scale, floor)));
    if (chance() !== null && chance() >= floor && epochs.length) traces.push(chanceTrace(chance(), [Math.min(...epochs), Math.max(...epochs)], scale));
    return { traces, layout: { plotHeight: onPaper(340), xaxis: epochAxis(Math.max(...epochs)), yaxis: axis(title, { tickformat, range: data.curve_spans[column] ?? undefined }) } };
  }
  return { make, all: "all variants", choices: () => withCurves().map((variant) => [variant.id, variant.name]) };
}

function plotOfCell(at) {
  return (width) => {
    const curves = data.cell_curves[data.cells.cell_id[at]];
    const variant = variantOf.get(data.cells.variant_id[at]);
    const color = variant ? ink(variant) : themeColor("text");
    const known = CURVES.filter(([column]) => curves[column]);
    const { grid, lines, names } = panels(known.length, width);
    const layout = { plotHeight: 210 * lines, grid, showlegend: false };
    const traces = known.flatMap(([column, title, chance, scale, tickformat], number) => {
      const axes = { xaxis: `x${names[number]}`, yaxis: `y${names[number]}` };
      const curve = data.curves[column]?.[variant?.id];
      const mine = curves[column];
      layout[`xaxis${names[number]}`] = epochAxis(mine.epoch.at(-1));
      layout[`yaxis${names[number]}`] = axis(title, { tickformat });
      return [
        ...(curve ? [bandTrace(curve, color, axes), { ...meanTrace(variant, curve, scale, width, axes), mode: "lines", line: { color: themeColor("quiet"), width: 1 } }] : []),
        ...(chance() === null ? [] : [chanceTrace(chance(), [mine.epoch[0], mine.epoch.at(-1)], scale, axes)]),
        { ...axes, x: mine.epoch, y: mine.value, mode: "lines+markers", hoverinfo: "text", line: { color, width: 2.5 }, marker: { size: 5 },
          text: mine.epoch.map((epoch, place) => `epoch ${epoch}: ${scale(mine.value[place])}`) },
      ];
    });
    return { traces, layout };
  };
}

const CURVES = [
  ["validation_accuracy", "validation accuracy", () => data.chance.accuracy, asPercent, ".0%"],
  ["train_loss", "training loss (nats)", () => data.chance.loss, asNats, ""],
];

// Accuracy against costs

function plotAccuracy(width) {
  const trained = data.cells.cell_id.map((_, at) => at).filter((at) => data.cells.outcome[at] === "trained" && typeof data.cells.metrics.test_accuracy?.[at] === "number");
  const accuracy = (at) => data.cells.metrics.test_accuracy[at];
  if (!data.accuracy_span) return { traces: [], layout: { plotHeight: 0 } };
  const [floor, ceiling] = data.accuracy_span;
  const edge = floor + 0.04 * (ceiling - floor);
  const { grid, lines, names } = panels(data.costs.length, width);
  const layout = { plotHeight: onPaper(340) * lines, roomAbove: 44, grid, annotations: [] };
  const traces = data.costs.flatMap(({ name, title, front }, number) => {
    const axes = { xaxis: `x${names[number]}`, yaxis: `y${names[number]}` };
    const first = number === 0;
    layout[`xaxis${names[number]}`] = logAxis(title, data.variants.map((variant) => variant.costs[name]));
    layout[`yaxis${names[number]}`] = axis(first || lines > 1 ? "test accuracy" : "", { tickformat: ".0%", range: [floor, ceiling] });
    if (data.variants.length > 1) layout.annotations.push(overPanel(number, front.length === 1 ? `no trade-off: cheapest and best is<br>${plotText(shortened(bestOf(front, name), 40))}` : front.length ? `trade-off between ${front.length} variants` : ""));
    const drawn = data.variants.filter((variant) => variant.costs[name] !== null);
    return [
      { ...axes, x: front.map(([cost]) => cost), y: front.map(([, mean]) => mean), mode: "lines", line: { shape: "hv", dash: "dash", width: 1.5, color: themeColor("quiet") }, hoverinfo: "skip", name: "Pareto front", showlegend: first && front.length > 1 },
      ...drawn.flatMap((variant) => {
        const cells = cellsOf(variant.id).filter((at) => trained.includes(at));
        const { mean, sd, n } = variant.accuracy;
        const cost = variant.costs[name];
        const seeds = {
          ...axes, x: cells.map(() => cost), y: cells.map((at) => (accuracy(at) < floor ? edge : accuracy(at))), customdata: cells, mode: "markers", hoverinfo: "text", legendgroup: variant.id, showlegend: false,
          marker: { color: ink(variant), opacity: cells.map((at) => (accuracy(at) < floor ? 1 : 0.55)), line: { width: cells.map((at) => (accuracy(at) < floor ? 2 : 0)), color: ink(variant) }, size: cells.map((at) => (accuracy(at) < floor ? 10 : 6)), symbol: cells.map((at) => (accuracy(at) < floor ? "triangle-down-open" : variant.symbol)) },
          text: cells.map((at) => `${cellTitle(at)}<br>test accuracy ${percent(accuracy(at))}${accuracy(at) < floor ? ", below the axis" : ""}`),
        };
        const middle = {
          ...axes, x: [cost], y: [mean], mode: "markers", hoverinfo: "text", name: legendName(variant.name, width), legendgroup: variant.id, showlegend: first,
          marker: { color: ink(variant), size: 10, symbol: variant.symbol, line: { color: themeColor("page"), width: 1 } },
          error_y: sd === null ? undefined : { type: "data", array: [sd], color: ink(variant), thickness: 1.5, width: 0 },
          text: [`${plotText(variant.name)}<br>test accuracy given healthy ${mean === null ? NOT_KNOWN : percent(mean)}${sd === null ? "" : ` ± ${(100 * sd).toFixed(1)}`} (n=${n})<br>${humanCount(cost)} ${plotText(title)}`],
        };
        return [seeds, middle];
      }),
    ];
  });
  return { traces, layout };
}

const bestOf = (front, cost) => data.variants.find(({ costs, accuracy }) => costs[cost] === front[0][0] && accuracy.mean === front[0][1])?.name ?? "another variant";

// A line or two over a panel.
const overPanel = (number, text) => ({
  xref: `x${number ? number + 1 : ""} domain`, yref: `y${number ? number + 1 : ""} domain`, x: 0.5, y: 1.01, xanchor: "center", yanchor: "bottom",
  showarrow: false, text, font: { size: 11, color: themeColor("quiet") },
});

// Who got there when: escape, or the target accuracy

function reachedPlot(name) {
  return (width) => {
    const { variants, until, horizon } = data.reached[name];
    const known = data.variants.filter(({ id }) => variants[id]);
    const pitch = isPrinting() ? Math.min(30, PRINTED_HEIGHT / known.length) : 52; // pixels
    const letters = Math.floor(width / 7) - 10;
    const layout = {
      plotHeight: pitch * known.length, showlegend: false, margin: { l: 12, r: 12, t: 12, b: 56 }, annotations: [],
      xaxis: axis(`epoch${until < horizon ? ` (until the last, ${Number(horizon.toPrecision(4))},${width < STACKED_BELOW ? "<br>" : " "}nothing more changes)` : ""}`, { range: [0, until] }),
      yaxis: axis("", { range: [known.length - 0.5, -0.5], showticklabels: false, ticks: "", showgrid: false, showline: false }),
    };
    const traces = known.flatMap((variant, row) => {
      const { time, share, interval, n, num_reached: count } = variants[variant.id];
      // a strip's lower part is filled from none to all of its cells, the upper one holds its name
      const height = (part) => row + 0.46 - 0.54 * part;
      const times = [...time, until];
      const shares = [...share, share.at(-1)];
      const bounds = (end) => [...interval, interval.at(-1)].map((ends) => height(ends[end]));
      const still = { x: times, mode: "lines", line: { shape: "hv", width: 0 }, hoverinfo: "skip" };
      layout.annotations.push({
        xref: "paper", yref: "y", x: 0, y: row - 0.1, xanchor: "left", yanchor: "bottom", showarrow: false, borderpad: 0,
        text: `${plotText(shortened(variant.name, letters))}: ${count} of ${n}`,
      });
      return [
        { ...still, x: [0, until, until, 0], y: [0, 0, 1, 1].map(height), fill: "toself", fillcolor: themeColor("box") },
        { ...still, y: bounds(0) },
        { ...still, y: bounds(1), fill: "tonexty", fillcolor: faded(ink(variant), 0.25) },
        {
          x: times, y: shares.map(height), mode: "lines", hoverinfo: "text", line: { shape: "hv", color: ink(variant), width: 2 },
          text: times.map((at, place) => `${plotText(variant.name)}<br>by epoch ${Number(at.toFixed(2))}: ${percent(shares[place])} of ${n} cells`),
        },
      ];
    });
    return { traces, layout };
  };
}

// Costs

const SHARES = [
  ["num_params", "parameters", humanCount],
  ["num_macs", "MACs per image", humanCount],
  ["seconds", "time per image", (seconds) => `${Number((1e3 * seconds).toPrecision(3))} ms`],
];

function plotShares(width) {
  const { grid, lines, names } = panels(SHARES.length, width);
  const rows = data.shares.map((_, at) => at);
  const height = (isPrinting() ? 33 : 40) * rows.length;
  const layout = { plotHeight: height * lines + 76 * (lines - 1), grid: { ...grid, xgap: 0.26, ygap: 76 / (height + 76) }, barmode: "stack", margin: { l: 12, r: 64, t: 34, b: 80 } };
  const traces = SHARES.flatMap(([name, title, shown], number) => {
    const axes = { xaxis: `x${names[number]}`, yaxis: `y${names[number]}` };
    layout[`xaxis${names[number]}`] = axis(title, { tickformat: ".0%", range: [0, 1], tickvals: [0, 0.5, 1] });
    layout[`yaxis${names[number]}`] = axis("", { range: [rows.length - 0.5, -0.5], showticklabels: false, ticks: "", showgrid: false, showline: false });
    const totals = data.shares.map((row) => (row[name] ? Object.values(row[name]).reduce((sum, part) => sum + part, 0) : null));
    const words = { ...axes, mode: "text", hoverinfo: "skip", showlegend: false, cliponaxis: false, textposition: "middle right" };
    const bars = data.kinds.map((kind) => {
      const parts = data.shares.map((row) => row[name]?.[kind.name] ?? null);
      const shares = parts.map((part, at) => (part === null || !totals[at] ? null : part / totals[at]));
      return {
        ...axes, type: "bar", orientation: "h", y: rows.map((row) => row + 0.2), width: 0.5, x: shares, name: kind.title, legendgroup: kind.name, showlegend: number === 0,
        marker: { color: kind.color }, text: shares.map((share) => (share >= 0.12 ? percent(share, 0).replace(" %", "") : "")), textposition: "inside", insidetextanchor: "middle", textangle: 0,
        hoverinfo: "text", hovertext: parts.map((part, at) => (part === null ? "" : `${plotText(data.shares[at].name)}<br>${kind.title}: ${shown(part)}, ${percent(shares[at] ?? 0)} of ${shown(totals[at])}`)),
      };
    });
    return [
      ...bars,
      { ...words, x: rows.map(() => 1), y: rows.map((row) => row + 0.2), text: totals.map((total) => (total ? shown(total) : total === 0 ? "none" : "not measured")) },
      // a name stands over its bars, where it may be as long as the page is wide
      ...(number === 0 || lines > 1 ? [{ ...words, x: rows.map(() => 0), y: rows.map((row) => row - 0.24), text: data.shares.map((row) => plotText(shortened(row.name, Math.floor(width / 7.5)))) }] : []),
    ];
  });
  return { traces, layout };
}

// Two axes of one model, and the classes taken for each other

function plotInteractions(width) {
  const { grid, lines, names } = panels(data.interactions.length, width);
  const layout = { plotHeight: onPaper(300) * lines, grid, annotations: [] };
  const looks = new Set();
  const traces = data.interactions.flatMap((panel, number) => {
    const count = panel.levels.length;
    layout[`xaxis${names[number]}`] = axis(panel.axis, { range: [-0.4, count - 0.6], tickvals: panel.levels.map((_, at) => at), ticktext: panel.levels.map((level) => plotText(shortened(level, 14))) });
    layout[`yaxis${names[number]}`] = axis(number === 0 || lines > 1 ? "test accuracy given healthy" : "", { tickformat: ".0%" });
    layout.annotations.push(overPanel(number, plotText(shortened(panel.title, 40))));
    return panel.lines.map((line, place) => {
      const isNew = !looks.has(line.name);
      looks.add(line.name);
      return {
        xaxis: `x${names[number]}`, yaxis: `y${names[number]}`, x: panel.levels.map((_, at) => at + 0.06 * (place - (panel.lines.length - 1) / 2)), y: line.means,
        mode: "lines+markers+text", name: legendName(line.name, width), legendgroup: line.name, showlegend: isNew, hoverinfo: "text",
        line: { color: ink(line), width: 2 }, marker: { symbol: line.symbol, size: 9 }, error_y: { type: "data", array: line.half_intervals, color: ink(line), thickness: 1.5, width: 4 },
        text: line.counts.map((n, at) => (line.means[at] === null ? "" : `n=${n}`)), textposition: place % 2 ? "top right" : "top left", textfont: { size: 10, color: ink(line) },
        hovertext: panel.levels.map((level, at) => `${plotText(line.name)}, ${plotText(panel.axis)}=${plotText(level)}<br>${line.means[at] === null ? "" : `${percent(line.means[at])} ± ${(100 * line.half_intervals[at]).toFixed(1)} (95 %), n=${line.counts[at]}`}`),
      };
    });
  });
  return { traces, layout };
}

function plotConfusions(width) {
  const { grid, lines, names } = panels(data.confusions.length, width);
  const isSilent = data.confusions.some(({ matrix }) => matrix.some((row) => row.at(-1)));
  const count = data.confusions[0].classes.length;
  const side = Math.min(560, (width - 100 * (data.confusions.length / lines)) / (data.confusions.length / lines));
  const layout = { plotHeight: (side + 110) * lines, grid: { ...grid, xgap: 0.2, ygap: 0.38 }, annotations: [], showlegend: false, margin: { l: 84, r: 12, t: 44, b: 100 } };
  const traces = data.confusions.map(({ name, n, classes, matrix }, number) => {
    const columns = [...classes, ...(isSilent ? ["nothing"] : [])];
    const labels = (all) => ({ tickvals: all.map((_, at) => at), ticktext: all.map((one) => plotText(shortened(one, 14))), showgrid: false, showline: false, ticks: "" });
    layout[`xaxis${names[number]}`] = axis("predicted", { ...labels(columns), tickangle: -60 });
    layout[`yaxis${names[number]}`] = axis(number === 0 || lines > 1 ? "true class" : "", { ...labels(classes), autorange: "reversed" });
    layout.annotations.push(overPanel(number, `${plotText(shortened(name, 44))}<br>mean of ${n} networks`));
    const shares = matrix.map((row) => row.slice(0, columns.length));
    return {
      type: "heatmap", xaxis: `x${names[number]}`, yaxis: `y${names[number]}`, z: shares.map((row) => row.map(Math.sqrt)), zmin: 0, zmax: 1, showscale: false, xgap: 1, ygap: 1,
      colorscale: isDark() ? [[0, themeColor("box")], [1, "#2f86d6"]] : [[0, themeColor("box")], [0.5, "#7fb5dd"], [1, "#08417f"]], hoverinfo: "text", texttemplate: "%{text}", textfont: { size: side / count < 30 ? 9 : 11 },
      text: shares.map((row) => row.map((share) => (share > 0.005 ? percent(share, 0).replace(" %", "") : ""))),
      hovertext: shares.map((row, at) => row.map((share, place) => `${plotText(classes[at])} taken for ${plotText(columns[place])}: ${percent(share)}`)),
    };
  });
  return { traces, layout };
}

const plotRoofline = {
  all: "all variants",
  choices: () => data.rooflines.map(({ name }, at) => [String(at), name]),
  make(width, chosen) {
    const shown = chosen === null ? data.rooflines : [data.rooflines[Number(chosen)]];
    const layers = shown.flatMap((line) => line.layers.map((layer) => ({ ...layer, variant: line.name })));
    const traces = data.kinds.map((kind) => {
      const mine = layers.filter((layer) => layer.kind === kind.name);
      return {
        x: mine.map((layer) => layer.flops_per_byte), y: mine.map((layer) => layer.flops_per_second), mode: "markers", name: kind.title, hoverinfo: "text",
        marker: { color: ink(kind), symbol: kind.symbol, opacity: 0.8, size: mine.map((layer) => 7 + 16 * Math.sqrt(layer.share)), line: { color: themeColor("page"), width: 1 } },
        text: mine.map((layer) => `${plotText(layer.name)} of ${plotText(layer.variant)}<br>${humanCount(layer.flops_per_second)} operations per second at ${Number(layer.flops_per_byte.toPrecision(3))} per byte<br>${percent(layer.share)} of the forward pass`),
      };
    }).filter((trace) => trace.x.length);
    const { bytes_per_second: bandwidth, roofs, precision } = shown[0];
    const places = layers.map((layer) => layer.flops_per_byte).concat(Object.values(roofs).map((flops) => flops / bandwidth));
    const [left, right] = [Math.min(...places) / 2, Math.max(...places) * 3];
    for (const [name, flops] of Object.entries(roofs)) {
      const own = name === precision;
      const xs = [left, flops / bandwidth, right];
      traces.push({
        x: xs, y: xs.map((x) => Math.min(flops, bandwidth * x)), mode: "lines", hoverinfo: "text", name: `${name}, at most ${humanCount(flops)}/s`,
        text: xs.map(() => `${name}: at most ${humanCount(flops)} operations per second, ${humanCount(bandwidth)}B/s copied`),
        line: { color: themeColor(own ? "text" : "quiet"), width: own ? 1.5 : 1, dash: own ? "solid" : "dash" },
      });
    }
    return { traces, layout: {
      plotHeight: onPaper(360),
      xaxis: logAxis("operations per byte", [left, right]),
      yaxis: logAxis("operations per second", traces.flatMap((trace) => trace.y)),
    } };
  },
};

const PLOTS = {
  effects: plotEffects,
  learning_curves: curvesPlot(...CURVES[0]),
  training_loss: curvesPlot(...CURVES[1]),
  accuracy_against_costs: plotAccuracy,
  escape: reachedPlot("escape"),
  epochs_to_target: reachedPlot("epochs_to_target"),
  cost_shares: plotShares,
  roofline: plotRoofline,
  interactions: plotInteractions,
  confusions: plotConfusions,
};
