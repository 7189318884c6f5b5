// Effects

function plotEffects(width) {
  const titles = [...new Set(data.effects.map((row) => row.panel))];
  const [pitch, gap] = [62, 70]; // pixels, of a row and between panels
  const letters = Math.floor(width / 8);
  const plotHeight = pitch * data.effects.length + gap * (titles.length - 1);
  const layout = { plotHeight, showlegend: false, margin: { l: 12, r: 12, t: 28, b: 56 } };
  let top = plotHeight;
  const traces = titles.flatMap((panel, number) => {
    const rows = data.effects.filter((row) => row.panel === panel);
    const name = number ? String(number + 1) : "";
    const axes = { xaxis: `x${name}`, yaxis: `y${name}` };
    const isShare = panel.startsWith("share of pairs");
    const scale = panel.endsWith("points") || isShare ? 100 : 1;
    const ends = rows.flatMap((row) => [row.value, ...(row.interval ?? []), ...row.band, ...row.decides]).map((end) => end * scale);
    const isLog = rows[0].is_factor && ends.every((end) => end > 0);
    const [low, high] = isShare ? [0, 100] : [Math.min(...ends, isLog ? 0.9 : 0), Math.max(...ends, isLog ? 1.1 : 0)];
    const room = isLog ? (high / low) ** 0.06 : 0.06 * (high - low || 1);
    const range = isLog ? [low / room, high * room] : [low - room, high + room];
    const shown = (value) => (rows[0].is_factor ? "×" : "") + Number((value * scale).toPrecision(3)).toLocaleString("en").replace("-", "−");
    const title = (panel + (isShare ? ", %" : "")).replace(" (", width < STACKED_BELOW ? "<br>(" : " (");
    const height = pitch * rows.length;
    layout[`xaxis${name}`] = {
      ...(isLog ? logAxis(title, range, "~g") : axis(title, { zeroline: !isShare, zerolinecolor: themeColor("quiet") })),
      anchor: `y${name}`, range: isLog ? range.map(Math.log10) : range,
    };
    layout[`yaxis${name}`] = axis("", { anchor: `x${name}`, range: [rows.length - 0.5, -0.5], domain: [(top - height) / plotHeight, top / plotHeight], showticklabels: false, ticks: "", showgrid: false, showline: false });
    top -= height + gap;
    const stretch = ([from, to], at) => ({ x: [from, to, to, from, from, null], y: [at, at, at + 0.48, at + 0.48, at, null] });
    const bands = rows.map((row, at) => stretch(row.band.map((end) => end * scale), at));
    const lines = rows.flatMap((row, at) => row.decides.map((end) => stretch([end * scale, end * scale], at)));
    const still = { ...axes, mode: "lines", hoverinfo: "skip" };
    return [
      { ...still, x: bands.flatMap(({ x }) => x), y: bands.flatMap(({ y }) => y), fill: "toself", fillcolor: themeColor("line"), line: { width: 0 } },
      { ...still, x: lines.flatMap(({ x }) => x), y: lines.flatMap(({ y }) => y), line: { width: 1.5, color: themeColor("text") } },
      {
        ...still, mode: "text", textposition: "middle right", x: rows.map(() => range[0]), y: rows.map((_, at) => at - 0.22),
        text: rows.map(({ id, verdict, compare: [a, b], is_factor }) =>
          `${plotText(shortened(id, letters))}: ${plotText(verdict)}<br>${plotText(shortened(`${a} ${is_factor ? "/" : "−"} ${b}`, letters))}`),
        textfont: { color: rows.map((row) => themeColor(row.verdict.replace(" ", "-"))) },
      },
      ...rows.map((row, at) => {
        const color = themeColor(row.verdict.replace(" ", "-"));
        const value = row.value * scale;
        const [from, to] = (row.interval ?? [row.value, row.value]).map((end) => end * scale);
        return {
          ...axes, mode: "markers", x: [value], y: [at + 0.24], hoverinfo: "text", marker: { size: 10, color, symbol: row.verdict === "undecided" ? "circle-open" : "circle", line: { width: 2, color } },
          error_x: row.interval ? { type: "data", symmetric: false, array: [to - value], arrayminus: [value - from], color, thickness: 2, width: 5 } : undefined,
          text: [[
            `<b>${plotText(row.id)}</b>: ${plotText(row.verdict)}, ${row.n === null ? "exact" : `n = ${row.n}`}`,
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
    line: { color: variant.color, width: 2.5 }, marker: { symbol: variant.symbol, size: 7 },
    text: curve.epoch.map((epoch, at) => `<b>${plotText(variant.name)}</b><br>epoch ${epoch}: ${scale(curve.mean[at])} (${scale(curve.low[at])} to ${scale(curve.high[at])}, n=${curve.n[at]})`),
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
      if (curve && chosen) traces.push(bandTrace(curve, variant.color, {}));
      traces.push(...seedTraces(variant.id, column, scale, faded(variant.color, chosen ? 0.7 : 0.35), {}));
      traces.push(meanTrace(variant, curve ?? { epoch: [null], mean: [null], low: [0], high: [0], n: [0] }, scale, width));
    }
    const epochs = traces.flatMap((trace) => trace.x).filter((epoch) => epoch !== null);
    if (chance() !== null && epochs.length) traces.push(chanceTrace(chance(), [Math.min(...epochs), Math.max(...epochs)], scale));
    return { traces, layout: { plotHeight: 340, xaxis: epochAxis(Math.max(...epochs)), yaxis: axis(title, { tickformat }) } };
  }
  return { make, all: "all variants", choices: () => withCurves().map((variant) => [variant.id, variant.name]) };
}

function plotOfCell(at) {
  return (width) => {
    const curves = data.cell_curves[data.cells.cell_id[at]];
    const variant = variantOf.get(data.cells.variant_id[at]);
    const color = variant?.color ?? themeColor("text");
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
  const healthy = trained.filter((at) => !isUnwell(at));
  const seen = [...(healthy.length ? healthy : trained).map(accuracy), ...data.variants.map((variant) => variant.accuracy.mean).filter((mean) => mean !== null)];
  const [low, high] = [Math.min(...seen), Math.max(...seen)];
  const room = Math.max(0.08 * (high - low), 0.005);
  const floor = low - 2 * room;
  const { grid, lines, names } = panels(data.costs.length, width);
  const layout = { plotHeight: 330 * lines, grid };
  const traces = data.costs.flatMap(({ name, title, front }, number) => {
    const axes = { xaxis: `x${names[number]}`, yaxis: `y${names[number]}` };
    const first = number === 0;
    layout[`xaxis${names[number]}`] = logAxis(title, data.variants.map((variant) => variant.costs[name]));
    layout[`yaxis${names[number]}`] = axis(first || lines > 1 ? "test accuracy" : "", { tickformat: ".0%", range: [floor, high + room] });
    const drawn = data.variants.filter((variant) => variant.costs[name] !== null);
    return [
      { ...axes, x: front.map(([cost]) => cost), y: front.map(([, mean]) => mean), mode: "lines", line: { shape: "hv", dash: "dash", width: 1.5, color: themeColor("quiet") }, hoverinfo: "skip", name: "Pareto front", showlegend: first && front.length > 1 },
      ...drawn.flatMap((variant) => {
        const cells = cellsOf(variant.id).filter((at) => trained.includes(at));
        const { mean, sd, n } = variant.accuracy;
        const cost = variant.costs[name];
        const seeds = {
          ...axes, x: cells.map(() => cost), y: cells.map((at) => Math.max(accuracy(at), floor + 0.4 * room)), customdata: cells, mode: "markers", hoverinfo: "text", legendgroup: variant.id, showlegend: false,
          marker: { color: variant.color, opacity: 0.55, size: cells.map((at) => (accuracy(at) < floor ? 9 : 6)), symbol: cells.map((at) => (accuracy(at) < floor ? "triangle-down-open" : variant.symbol)) },
          text: cells.map((at) => `${cellTitle(at)}<br>test accuracy ${percent(accuracy(at))}${accuracy(at) < floor ? ", below the axis" : ""}`),
        };
        const middle = {
          ...axes, x: [cost], y: [mean], mode: "markers", hoverinfo: "text", name: legendName(variant.name, width), legendgroup: variant.id, showlegend: first,
          marker: { color: variant.color, size: 11, symbol: variant.symbol, line: { color: themeColor("page"), width: 1 } },
          error_y: sd === null ? undefined : { type: "data", array: [sd], color: variant.color, thickness: 1.5, width: 0 },
          text: [`<b>${plotText(variant.name)}</b><br>test accuracy given healthy ${mean === null ? NOT_KNOWN : percent(mean)}${sd === null ? "" : ` ± ${(100 * sd).toFixed(1)}`} (n=${n})<br>${humanCount(cost)} ${plotText(title)}`],
        };
        return [seeds, middle];
      }),
    ];
  });
  return { traces, layout };
}

// Who got there when: escape, or the target accuracy

function reachedPlot(name) {
  const known = () => data.variants.filter((variant) => data.reached[name][variant.id]);
  function make(width, chosen) {
    const last = Math.max(1, ...Object.values(data.reached[name]).map(({ horizon }) => horizon));
    const traces = known().flatMap((variant) => {
      const { time, share, interval, n } = data.reached[name][variant.id];
      const isShown = !chosen || chosen === variant.id;
      const times = [...time, last];
      const shares = [...share, share.at(-1)];
      const bounds = (end) => [...interval, interval.at(-1)].map((ends) => ends[end]);
      const bound = { x: times, mode: "lines", line: { shape: "hv", width: 0 }, hoverinfo: "skip", showlegend: false };
      const band = chosen === variant.id ? [
        { ...bound, y: bounds(0) },
        { ...bound, y: bounds(1), fill: "tonexty", fillcolor: faded(variant.color, 0.18) },
      ] : [];
      return [...band, {
        x: times, y: shares, mode: isShown ? "lines+markers" : "lines", name: legendName(variant.name, width), hoverinfo: "text", showlegend: isShown,
        line: { shape: "hv", color: isShown ? variant.color : themeColor("faint"), width: isShown ? 2 : 1 }, marker: { symbol: variant.symbol, size: 7 },
        text: times.map((at, place) => `<b>${plotText(variant.name)}</b><br>by epoch ${Number(at.toFixed(2))}: ${percent(shares[place])} of ${n} cells`),
      }];
    });
    return { traces, layout: { plotHeight: 280, xaxis: epochAxis(last, { range: [0, last] }), yaxis: axis("share of cells", { tickformat: ".0%", range: [-0.03, 1.03] }) } };
  }
  return { make, all: "all variants", choices: () => known().map((variant) => [variant.id, variant.name]) };
}

// Costs

const SHARES = [
  ["num_params", "parameters", humanCount],
  ["num_macs", "MACs per image", humanCount],
  ["seconds", "measured time per image", (seconds) => `${Number((1e3 * seconds).toPrecision(3))} ms`],
];

function plotShares(width) {
  const { grid, lines, names } = panels(SHARES.length, width);
  const rows = data.shares.map((_, at) => at);
  const layout = { plotHeight: Math.max(120, 30 * rows.length) * lines, grid: { ...grid, xgap: 0.12 }, barmode: "stack" };
  const traces = SHARES.flatMap(([name, title, shown], number) => {
    layout[`xaxis${names[number]}`] = axis(title, { tickformat: ".0%", range: [0, 1], tickvals: [0, 0.5] });
    const labels = number === 0 || lines > 1;
    layout[`yaxis${names[number]}`] = axis("", {
      autorange: "reversed", tickvals: rows, showticklabels: labels, ticks: "", showgrid: false, showline: false,
      ticktext: data.shares.map(({ name }) => plotText(shortened(name, width < STACKED_BELOW ? 24 : 30))),
    });
    return data.kinds.map((kind) => {
      const parts = data.shares.map((row) => row[name]?.[kind.name] ?? null);
      const totals = data.shares.map((row) => (row[name] ? Object.values(row[name]).reduce((sum, part) => sum + part, 0) : 0));
      return {
        type: "bar", orientation: "h", xaxis: `x${names[number]}`, yaxis: `y${names[number]}`, y: rows,
        x: parts.map((part, at) => (part === null || !totals[at] ? null : part / totals[at])),
        name: kind.title, legendgroup: kind.name, showlegend: number === 0, marker: { color: kind.color }, hoverinfo: "text", textposition: "none",
        text: parts.map((part, at) => (part === null ? "" : `<b>${plotText(data.shares[at].name)}</b><br>${kind.title}: ${shown(part)}, ${percent(totals[at] ? part / totals[at] : 0)} of ${shown(totals[at])}`)),
      };
    });
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
        marker: { color: kind.color, symbol: kind.symbol, opacity: 0.8, size: mine.map((layer) => 7 + 16 * Math.sqrt(layer.share)), line: { color: themeColor("page"), width: 1 } },
        text: mine.map((layer) => `<b>${plotText(layer.name)}</b> of ${plotText(layer.variant)}<br>${humanCount(layer.flops_per_second)} operations per second at ${Number(layer.flops_per_byte.toPrecision(3))} per byte<br>${percent(layer.share)} of the forward pass`),
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
      plotHeight: 360,
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
};
