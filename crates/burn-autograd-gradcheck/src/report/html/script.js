"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const VERDICTS = {
    f: { name: "fail", symbol: "✗", means: "a mistake was found" },
    i: { name: "invalid", symbol: "!", means: "the function could not be evaluated" },
    u: { name: "unchecked", symbol: "?", means: "nothing can be said, for the reason given" },
    p: { name: "pass", symbol: "✓", means: "everything agreed within its bound" },
  };
  // The worst first.
  const SEVERITY = "fiup";
  const STEP = 50;

  const text = (number) => data.text[number];
  const count = data.verdict.length;
  const declared = new Set(data.declared);
  const shortened = new Set(data.shortened);
  const byId = (id) => document.getElementById(id);

  // Numbers that are not finite come as text.
  const number = (value) =>
    typeof value === "string" ? { inf: Infinity, "-inf": -Infinity }[value] ?? NaN : value;
  const WORST = data.worst.map((list) =>
    list.map(([output, at, input, index, analytic, numeric, error, bound]) => ({
      output,
      at: text(at),
      input,
      index: text(index),
      analytic: number(analytic),
      numeric: number(numeric),
      error: number(error),
      bound: number(bound),
    })),
  );
  const part = (worst) => {
    const ratio = worst.error === 0 ? 0 : worst.error / worst.bound;
    return Number.isNaN(ratio) ? Infinity : ratio;
  };
  const RATIO = WORST.map((list) => (list.length ? Math.max(...list.map(part)) : null));

  const GROUP = new Map(data.groups.flatMap(([name, checks]) => checks.map((check) => [check, name])));
  const group = (i) => GROUP.get(text(data.check[i])) ?? "other";
  const groupOrder = [...data.groups.map(([name]) => name), "other"];
  const checkOrder = data.groups.flatMap(([, checks]) => checks);

  const HAY = Array.from({ length: count }, (_, i) =>
    [
      text(data.op[i]),
      text(data.case[i]),
      text(data.backend[i]),
      text(data.dtype[i]),
      `order ${data.order[i]}`,
      text(data.check[i]),
      VERDICTS[data.verdict[i]].name,
      declared.has(i) ? "declared" : "",
      text(data.reason[i]),
    ]
      .join(" ")
      .toLowerCase(),
  );

  const state = {
    words: [],
    verdicts: new Set(SEVERITY),
    mode: "group",
    cell: null,
    check: null,
    shown: STEP,
  };

  // Elements. Texts only ever become text nodes.
  const make = (name, attributes, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  };
  const symbol = (letter) =>
    make("span", { class: `symbol ${VERDICTS[letter].name}`, "aria-hidden": "true" }, VERDICTS[letter].symbol);
  const chip = (letter) =>
    make("span", { class: `chip ${VERDICTS[letter].name}` }, symbol(letter), VERDICTS[letter].name);

  const short = (value, digits = 2) => {
    if (value == null) return "–";
    if (Number.isNaN(value)) return "not finite";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size < 1e-3 || size >= 1e5 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  };
  const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
  const duration = (seconds) =>
    seconds >= 60
      ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
      : seconds >= 1
        ? `${seconds.toFixed(1)} s`
        : `${short(seconds * 1000)} ms`;
  const tally = (list) => {
    const counts = { f: 0, i: 0, u: 0, p: 0 };
    for (const i of list) counts[data.verdict[i]] += 1;
    return counts;
  };
  const worstOf = (counts) => [...SEVERITY].find((letter) => counts[letter] > 0);
  const inWords = (counts) =>
    [...SEVERITY]
      .filter((letter) => counts[letter] > 0)
      .map((letter) => `${counts[letter].toLocaleString("en")} ${VERDICTS[letter].name}`)
      .join(", ");

  const matches = (i) =>
    state.verdicts.has(data.verdict[i]) && state.words.every((word) => HAY[i].includes(word));
  const sub = (i) => (state.mode === "group" ? group(i) : text(data.check[i]));
  const inCell = (i, cell) =>
    text(data.op[i]) === cell.op &&
    text(data.backend[i]) === cell.backend &&
    text(data.dtype[i]) === cell.dtype &&
    data.order[i] === cell.order &&
    sub(i) === cell.sub;

  const firsts = (column) => [...new Set(column)];
  const OPS = firsts(data.op);
  const BACKENDS = firsts(data.backend);
  const DTYPES = firsts(data.dtype);

  // Columns are those of the whole report, so that they stay where they are when it is filtered.
  const columns = () => {
    const known = new Map();
    for (let i = 0; i < count; i += 1) {
      const key = [data.backend[i], data.dtype[i], data.order[i]].join();
      if (!known.has(key)) {
        known.set(key, {
          key,
          backend: data.backend[i],
          dtype: data.dtype[i],
          order: data.order[i],
          subs: new Set(),
        });
      }
      known.get(key).subs.add(sub(i));
    }
    const names = state.mode === "group" ? groupOrder : checkOrder;
    const place = (name) => (names.includes(name) ? names.indexOf(name) : names.length);
    return [...known.values()]
      .sort(
        (a, b) =>
          BACKENDS.indexOf(a.backend) - BACKENDS.indexOf(b.backend) ||
          DTYPES.indexOf(a.dtype) - DTYPES.indexOf(b.dtype) ||
          a.order - b.order,
      )
      .map((column) => ({ ...column, subs: [...column.subs].sort((a, b) => place(a) - place(b)) }));
  };

  const drawHead = () => {
    const { summary } = data;
    byId("run").textContent =
      `Burn ${data.burn} · seed ${data.seed} · ${plural(count, "check")} in ${duration(summary.seconds)}`;
    byId("backends").replaceChildren(
      ...data.backends.map((backend) => {
        const ran = backend.status === "ran";
        return make(
          "li",
          {},
          symbol(ran ? "p" : "u"),
          make("b", {}, ` ${backend.name} `),
          make("span", { class: "muted" }, ran ? (backend.adapter ?? "ran") : `skipped: ${backend.reason ?? "no reason given"}`),
        );
      }),
    );
    byId("legend").replaceChildren(
      ...[...SEVERITY].reverse().map((letter) =>
        make("li", {}, symbol(letter), ` ${VERDICTS[letter].name}: ${VERDICTS[letter].means}`),
      ),
    );
    const all = tally(data.op.keys());
    byId("tally").replaceChildren(
      ...[..."pfui"].map((letter) =>
        make(
          "button",
          {
            type: "button",
            class: VERDICTS[letter].name,
            "aria-pressed": "true",
            title: `Show or hide ${VERDICTS[letter].name}`,
            onclick: (event) => {
              const on = !state.verdicts.has(letter);
              if (on) state.verdicts.add(letter);
              else state.verdicts.delete(letter);
              event.currentTarget.setAttribute("aria-pressed", String(on));
              filtered();
            },
          },
          make("span", { class: "symbol", "aria-hidden": "true" }, VERDICTS[letter].symbol),
          make("span", { class: "count" }, all[letter].toLocaleString("en")),
          make("span", { class: "name" }, VERDICTS[letter].name),
        ),
      ),
    );
    const worst = worstOf(all);
    document.title = worst ? `${VERDICTS[worst].symbol} Gradient check` : "Gradient check";
  };

  const drawMatrix = (list) => {
    const shownColumns = columns();
    const narrow = state.mode === "check";
    const split = narrow || shownColumns.some((column) => column.subs.length > 1);
    const cells = new Map();
    for (const i of list) {
      const key = [data.op[i], data.backend[i], data.dtype[i], data.order[i], sub(i)].join();
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(i);
    }

    const rows = split ? 3 : 2;
    const corner = make("th", { class: "corner", rowspan: rows, scope: "col" }, "operation");
    const backendRow = make("tr", { class: "backend" }, corner);
    for (const backend of BACKENDS) {
      const width = shownColumns
        .filter((column) => column.backend === backend)
        .reduce((sum, column) => sum + column.subs.length, 0);
      backendRow.append(make("th", { colspan: width, scope: "colgroup", class: "start" }, text(backend)));
    }
    const placeRow = make("tr", {});
    const subRow = make("tr", { class: "sub" });
    for (const column of shownColumns) {
      const label = `${text(column.dtype)} order ${column.order}`;
      placeRow.append(make("th", { colspan: column.subs.length, scope: "colgroup", class: "start" }, label));
      column.subs.forEach((name, place) => {
        const start = place === 0 ? "start" : "";
        subRow.append(
          make("th", { scope: "col", class: `${start} ${narrow ? "turned" : ""}` }, make("span", {}, name)),
        );
      });
    }
    const head = make("thead", {}, backendRow, placeRow, split ? subRow : null);

    const body = make("tbody", {});
    for (const op of OPS) {
      const row = make("tr", {}, make("th", { class: "op", scope: "row" }, text(op)));
      for (const column of shownColumns) {
        column.subs.forEach((name, place) => {
          const found = cells.get([op, column.key, name].join());
          const start = place === 0 ? "start" : null;
          if (!found) {
            row.append(make("td", { class: start }, make("span", { class: "none", title: "no check" }, "·")));
            return;
          }
          const counts = tally(found);
          const letter = worstOf(counts);
          const cell = {
            op: text(op),
            backend: text(column.backend),
            dtype: text(column.dtype),
            order: column.order,
            sub: name,
          };
          const label = `${cell.op}, ${cell.backend} ${cell.dtype}, order ${cell.order}, ${name}: ${inWords(counts)}`;
          const button = make(
            "button",
            {
              type: "button",
              class: `cell ${VERDICTS[letter].name}`,
              tabindex: "-1",
              title: label,
              "aria-label": label,
              "aria-current": state.cell && sameCell(state.cell, cell) ? "true" : null,
              onclick: (event) => open(cell, event.detail === 0),
            },
            symbol(letter),
            narrow ? null : make("span", { class: "n" }, String(counts[letter])),
          );
          row.append(make("td", { class: start }, button));
        });
      }
      body.append(row);
    }
    const table = make("table", { class: narrow ? "narrow" : null, onkeydown: move }, head, body);
    byId("matrix").replaceChildren(count ? table : make("p", { class: "muted" }, "The report has no checks."));
    const current = table.querySelector('[aria-current="true"]') ?? table.querySelector(".cell");
    current?.setAttribute("tabindex", "0");
  };

  const sameCell = (a, b) => ["op", "backend", "dtype", "order", "sub"].every((key) => a[key] === b[key]);

  // Arrow keys: one cell of the matrix can be reached with Tab, the others from it.
  const move = (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const from = event.target.closest("td");
    if (!step || !from) return;
    event.preventDefault();
    const rows = [...event.currentTarget.tBodies[0].rows];
    let [row, column] = [rows.indexOf(from.parentElement), from.cellIndex];
    for (;;) {
      row += step[0];
      column += step[1];
      const cell = rows[row]?.cells[column];
      if (!cell || cell.tagName !== "TD") return;
      const button = cell.querySelector("button");
      if (button) {
        event.currentTarget.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
        button.setAttribute("tabindex", "0");
        button.focus();
        return;
      }
    }
  };

  const listed = () => {
    const list = [];
    for (let i = 0; i < count; i += 1) {
      if (matches(i) && (!state.cell || inCell(i, state.cell))) list.push(i);
    }
    const severity = (i) => SEVERITY.indexOf(data.verdict[i]);
    return list.sort((a, b) => severity(a) - severity(b) || (RATIO[b] ?? -1) - (RATIO[a] ?? -1) || a - b);
  };

  const drawList = (list) => {
    const { cell } = state;
    byId("panel-title").textContent = cell
      ? `${cell.op} on ${cell.backend} ${cell.dtype}, order ${cell.order}: ${cell.sub}`
      : "All checks";
    byId("all").hidden = !cell;
    byId("found").textContent = list.length
      ? `${plural(list.length, "check")}: ${inWords(tally(list))}. The worst first.`
      : "";
    const holder = byId("list");
    if (!list.length) {
      const why = count ? "No check matches the filter." : "The report has no checks.";
      holder.replaceChildren(make("p", { class: "empty" }, why));
      return;
    }
    const head = make(
      "tr",
      {},
      make("th", { scope: "col" }, "verdict"),
      cell ? null : make("th", { scope: "col" }, "operation"),
      make("th", { scope: "col" }, "case"),
      cell ? null : make("th", { scope: "col" }, "backend"),
      make("th", { scope: "col" }, "check"),
      make("th", { scope: "col", class: "r", title: "the largest error as a part of its bound" }, "error / bound"),
      make("th", { scope: "col", class: "r", title: "the smallest relative error that would have been seen" }, "detects"),
    );
    const body = make("tbody", {});
    for (const i of list.slice(0, state.shown)) {
      const { name } = VERDICTS[data.verdict[i]];
      body.append(
        make(
          "tr",
          { "aria-current": i === state.check ? "true" : null, "data-check": i, onclick: () => select(i, false) },
          make("td", { class: `${name} v` }, symbol(data.verdict[i]), ` ${name}`),
          cell ? null : make("td", { class: "mono" }, text(data.op[i])),
          make(
            "td",
            {},
            make(
              "button",
              {
                type: "button",
                class: "open",
                onclick: (event) => {
                  event.stopPropagation();
                  select(i, event.detail === 0);
                },
              },
              text(data.case[i]) || "(unnamed)",
            ),
            data.reason[i] ? make("div", { class: "why" }, text(data.reason[i])) : null,
          ),
          cell ? null : make("td", { class: "v" }, `${text(data.backend[i])} ${text(data.dtype[i])}, order ${data.order[i]}`),
          make("td", {}, text(data.check[i])),
          make("td", { class: "r mono" }, short(RATIO[i])),
          make("td", { class: "r mono" }, short(number(data.detects[i]))),
        ),
      );
    }
    const rest = list.length - Math.min(state.shown, list.length);
    const more = rest
      ? make(
          "button",
          {
            type: "button",
            class: "more",
            onclick: () => {
              state.shown += 10 * STEP;
              drawList(list);
            },
          },
          `Show more (${rest.toLocaleString("en")} are left)`,
        )
      : null;
    holder.replaceChildren(make("table", {}, make("thead", {}, head), body), ...(more ? [more] : []));
  };

  const drawDetail = () => {
    const holder = byId("detail");
    const i = state.check;
    holder.hidden = i == null;
    document.querySelector(".split").classList.toggle("two", i != null);
    if (i == null) return;
    const letter = data.verdict[i];
    const worst = WORST[i];
    const [compared, entries] = data.compared[i];
    const detects = number(data.detects[i]);
    const facts = make("dl", {});
    const fact = (term, ...description) => facts.append(make("dt", {}, term), make("dd", {}, ...description));
    if (RATIO[i] != null) {
      const relation = RATIO[i] <= 1 ? "within it" : "beyond it";
      fact("Worst error", `${short(RATIO[i], 3)} times its bound, ${relation}`);
    }
    if (detects != null) {
      fact("Detects", detects === 0 ? "any error" : `relative errors above ${short(detects, 3)} in every entry`);
    }
    if (entries) fact("Agreed", `${compared.toLocaleString("en")} of ${plural(entries, "entry", "entries")}`);
    if (declared.has(i)) fact("Declared", "that this cannot be checked is known, and stated with the case");
    fact("Time", duration(number(data.seconds[i])));

    const children = [
      make("div", { class: "bar" }, chip(letter), make("h2", { id: "detail-title", tabindex: "-1" }, `${text(data.op[i])}  ${text(data.case[i])}`)),
      make("p", { class: "muted" }, `${text(data.check[i])} on ${text(data.backend[i])} ${text(data.dtype[i])}, order ${data.order[i]}`),
    ];
    if (data.reason[i]) {
      children.push(make("p", { class: `reason ${VERDICTS[letter].name}` }, make("span", {}, text(data.reason[i]))));
    }
    children.push(facts);
    if (data.causes[i]) {
      children.push(make("h3", {}, "Likely causes"), make("ul", {}, ...data.causes[i].map((cause) => make("li", {}, text(cause)))));
    }
    if (data.repeat[i] != null) {
      const line = text(data.repeat[i]);
      const code = make("code", {}, line);
      children.push(
        make("h3", {}, "Repeat this check"),
        make("div", { class: "repeat" }, code, make("button", { type: "button", class: "copy", onclick: (event) => copy(event.currentTarget, code) }, "Copy")),
      );
    }
    if (worst.length) {
      children.push(
        make("h3", {}, worst.length > 1 ? `The ${worst.length} worst entries` : "The worst entry"),
        make("div", { class: "scroll" }, table(worst)),
      );
      children.push(...plots(i, worst));
    }
    if (shortened.has(i)) {
      children.push(
        make("p", { class: "muted small" }, "Further entries and points of this check are in the JSON report; this page keeps those of failures and of the tightest passes."),
      );
    }
    holder.replaceChildren(...children);
  };

  const table = (worst) => {
    const withElement = worst.some((entry) => entry.at);
    const head = ["output", "input", "analytic", "numeric", "error", "bound", "error / bound"];
    return make(
      "table",
      { class: "entries mono" },
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        ...worst.map((entry) => {
          const within = part(entry) <= 1;
          return make(
            "tr",
            {},
            make("td", {}, withElement && entry.at ? `${entry.output} ${entry.at}` : String(entry.output)),
            make("td", {}, `${entry.input} ${entry.index}`),
            make("td", {}, exact(entry.analytic)),
            make("td", {}, exact(entry.numeric)),
            make("td", {}, short(entry.error, 3)),
            make("td", {}, short(entry.bound, 3)),
            make("td", { class: within ? "pass" : "fail" }, `${short(part(entry), 3)} ${within ? "✓" : "✗"}`),
          );
        }),
      ),
    );
  };
  const exact = (value) => (Number.isFinite(value) && value !== 0 ? value.toExponential(9) : short(value));

  const copy = async (button, code) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Without the right to write to the clipboard, the line is selected.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  };

  // Plots.
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const SIZE = { width: 560, left: 66, right: 14, top: 12, bottom: 40 };

  const range = (values) => {
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = high > low ? 0.06 * (high - low) : 0.1 * Math.abs(high) || 1;
    return [low - pad, high + pad];
  };
  const ticks = ([low, high], wanted = 5) => {
    const raw = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const list = [];
    for (let k = Math.ceil(low / step); k * step <= high && list.length < 12; k += 1) {
      list.push(Number((k * step).toPrecision(12)));
    }
    return list;
  };
  const tickLabel = (value) => {
    const size = Math.abs(value);
    return value === 0 ? "0" : size < 1e-3 || size >= 1e5 ? value.toExponential() : String(value);
  };

  const frame = (height, label, x, y, yTicks) => {
    const { width, left, right, top, bottom } = SIZE;
    const inner = { x: left, y: top, width: width - left - right, height: height - top - bottom };
    const toX = (value) => inner.x + ((value - x[0]) / (x[1] - x[0])) * inner.width;
    const toY = (value) => inner.y + inner.height - ((value - y[0]) / (y[1] - y[0])) * inner.height;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    for (const value of ticks(x)) {
      root.append(
        svg("line", { class: "grid", x1: toX(value), x2: toX(value), y1: inner.y, y2: inner.y + inner.height }),
        svg("text", { x: toX(value), y: inner.y + inner.height + 15, "text-anchor": "middle" }, tickLabel(value)),
      );
    }
    for (const [value, name] of yTicks) {
      root.append(
        svg("line", { class: "grid", x1: inner.x, x2: inner.x + inner.width, y1: toY(value), y2: toY(value) }),
        svg("text", { x: inner.x - 6, y: toY(value) + 4, "text-anchor": "end" }, name),
      );
    }
    root.append(
      svg("line", { class: "axis", x1: inner.x, x2: inner.x, y1: inner.y, y2: inner.y + inner.height }),
      svg("line", { class: "axis", x1: inner.x, x2: inner.x + inner.width, y1: inner.y + inner.height, y2: inner.y + inner.height }),
      svg("text", { x: inner.x + inner.width / 2, y: height - 6, "text-anchor": "middle" }, "numeric"),
    );
    const mid = inner.y + inner.height / 2;
    return { root, toX, toY, inner, side: (name) => svg("text", { x: 13, y: mid, "text-anchor": "middle", transform: `rotate(-90 13 ${mid})` }, name) };
  };

  // A shape says what a colour says: a ring is within its bound, a cross is not.
  const mark = (x, y, within, title) => {
    const shape = within
      ? svg("circle", { class: "within", cx: x, cy: y, r: 6 })
      : svg("path", { class: "beyond", d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` });
    shape.append(svg("title", {}, title));
    return shape;
  };

  const plots = (i, worst) => {
    const flat = data.points[i] ?? [];
    const all = [];
    for (let k = 0; k + 1 < flat.length; k += 2) {
      const numeric = number(flat[k]);
      const distance = number(flat[k + 1]);
      all.push({ numeric, analytic: numeric + distance, error: Math.abs(distance) });
    }
    const finite = (point) => Number.isFinite(point.numeric) && Number.isFinite(point.analytic);
    const points = all.filter(finite);
    const marked = worst.filter(finite);
    const left = all.length - points.length + worst.length - marked.length;
    if (!points.length && !marked.length) {
      return [make("p", { class: "muted small" }, "There is no plot: the values are not finite.")];
    }
    const title = (entry) =>
      `output ${entry.output} ${entry.at}, input ${entry.input} ${entry.index}: analytic ${exact(entry.analytic)}, numeric ${exact(entry.numeric)}, error ${short(entry.error, 3)}, bound ${short(entry.bound, 3)}`;
    const both = [...points, ...marked];
    const x = range(both.map((point) => point.numeric));
    const y = range(both.flatMap((point) => [point.analytic, point.numeric]));

    const one = frame(
      330,
      `Analytic against numeric values of ${both.length} entries; on the dashed line both agree.`,
      x,
      y,
      ticks(y).map((value) => [value, tickLabel(value)]),
    );
    one.root.append(one.side("analytic"));
    const [low, high] = [Math.max(x[0], y[0]), Math.min(x[1], y[1])];
    one.root.append(svg("line", { class: "identity", x1: one.toX(low), y1: one.toY(low), x2: one.toX(high), y2: one.toY(high) }));
    for (const point of points) {
      one.root.append(svg("circle", { class: "point", cx: one.toX(point.numeric), cy: one.toY(point.analytic), r: 3 }));
    }
    for (const entry of marked) {
      one.root.append(mark(one.toX(entry.numeric), one.toY(entry.analytic), part(entry) <= 1, title(entry)));
    }

    // Errors on a logarithmic scale; what is exactly zero lies on a line of its own beneath.
    const sizes = [...points.map((point) => point.error), ...marked.flatMap((entry) => [entry.error, entry.bound])].filter(
      (size) => size > 0 && Number.isFinite(size),
    );
    let [bottom, top] = sizes.length
      ? [Math.floor(Math.log10(Math.min(...sizes))), Math.ceil(Math.log10(Math.max(...sizes)))]
      : [-1, 0];
    if (top === bottom) top += 1;
    const zero = bottom - 0.09 * (top - bottom + 1) - 0.2;
    const log = (size) => (size > 0 ? Math.log10(size) : zero);
    const stride = Math.ceil((top - bottom) / 6);
    const powers = [];
    for (let power = bottom; power <= top; power += stride) powers.push([power, `1e${power}`]);
    const two = frame(230, "Error of each entry on a logarithmic scale, and the bounds of the worst entries.", x, [zero - 0.04 * (top - zero), top + 0.04 * (top - zero)], [[zero, "0"], ...powers]);
    two.root.append(two.side("error"));
    for (const point of points) {
      two.root.append(svg("circle", { class: "point", cx: two.toX(point.numeric), cy: two.toY(log(point.error)), r: 3 }));
    }
    for (const entry of marked) {
      const at = two.toX(entry.numeric);
      const [from, to] = [two.toY(log(entry.error)), two.toY(log(entry.bound))];
      if (Number.isFinite(to)) {
        two.root.append(
          svg("line", { class: "stem", x1: at, x2: at, y1: from, y2: to }),
          svg("line", { class: "bound", x1: at - 8, x2: at + 8, y1: to, y2: to }),
        );
      }
      two.root.append(mark(at, from, part(entry) <= 1, title(entry)));
    }

    const kinds = [
      points.length ? `● ${plural(points.length, "entry", "entries")}` : null,
      marked.some((entry) => part(entry) <= 1) ? "○ worst, within its bound" : null,
      marked.some((entry) => part(entry) > 1) ? "✗ worst, beyond its bound" : null,
    ].filter(Boolean);
    const gone = left ? ` ${left} not finite, not shown.` : "";
    return [
      make("h3", {}, "Analytic against numeric"),
      make("figure", {}, one.root, make("figcaption", {}, `${kinds.join(" · ")} · ┄ analytic = numeric.${gone}`)),
      make("h3", {}, "Error and bound"),
      make("figure", {}, two.root, make("figcaption", {}, "Beneath: exactly equal. A bar is the bound of a worst entry.")),
    ];
  };

  // What happens.
  const draw = () => {
    const all = [];
    for (let i = 0; i < count; i += 1) if (matches(i)) all.push(i);
    drawMatrix(all);
    const list = listed();
    if (state.check != null && !list.includes(state.check)) state.check = null;
    drawList(list);
    drawDetail();
  };
  const filtered = () => {
    state.shown = STEP;
    draw();
  };
  const open = (cell, byKey) => {
    state.cell = cell;
    state.shown = STEP;
    state.check = listed()[0] ?? null;
    draw();
    remember();
    const panel = byId("panel");
    if (panel.getBoundingClientRect().top > 0.5 * innerHeight) panel.scrollIntoView({ block: "start" });
    if (byKey) byId("panel-title").focus({ preventScroll: true });
  };
  const select = (i, byKey) => {
    state.check = i;
    for (const row of byId("list").querySelectorAll("tr[data-check]")) {
      if (Number(row.dataset.check) === i) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    drawDetail();
    remember();
    const detail = byId("detail");
    const { top } = detail.getBoundingClientRect();
    if (top > 0.8 * innerHeight || top < -0.2 * innerHeight) detail.scrollIntoView({ block: "start" });
    if (byKey) byId("detail-title").focus({ preventScroll: true });
  };
  const close = () => {
    if (!state.cell) return;
    state.cell = null;
    state.check = null;
    filtered();
    remember();
  };

  // The address names what is open, so that it can be sent to someone with the file.
  const remember = () => {
    const parts = new URLSearchParams();
    if (state.cell) {
      for (const [key, value] of Object.entries(state.cell)) parts.set(key, value);
      parts.set("mode", state.mode);
    }
    if (state.check != null) parts.set("check", state.check);
    history.replaceState(null, "", `#${parts}`);
  };
  const recall = () => {
    const parts = new URLSearchParams(location.hash.slice(1));
    if (parts.get("mode") === "check") state.mode = "check";
    if (parts.has("op")) {
      const cell = {};
      for (const key of ["op", "backend", "dtype", "sub"]) cell[key] = parts.get(key);
      cell.order = Number(parts.get("order"));
      // The file may be another one than the address was made for.
      if (Array.from(data.op.keys()).some((i) => inCell(i, cell))) state.cell = cell;
    }
    const check = parts.has("check") ? Number(parts.get("check")) : -1;
    if (check in data.op) state.check = check;
    else if (state.cell) [state.check] = listed();
    byId("mode").value = state.mode;
  };

  let timer;
  byId("find").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    clearTimeout(timer);
    timer = setTimeout(() => {
      state.words = words;
      filtered();
    }, 120);
  });
  byId("mode").addEventListener("change", (event) => {
    state.mode = event.target.value;
    state.cell = null;
    state.check = null;
    filtered();
    remember();
  });
  byId("all").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !byId("panel").contains(document.activeElement)) return;
    const cell = document.querySelector('#matrix [tabindex="0"]');
    cell?.focus();
  });

  recall();
  drawHead();
  draw();
  byId("app").hidden = false;
})();
