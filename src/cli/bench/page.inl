// The page of `kapell bench --html`: what stands before and after the report's JSON. It needs nothing but a browser.
// clang-format off
#define PAGE_BEFORE \
  "<!DOCTYPE html>\n" \
  "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>kapell bench</title>\n" \
  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" \
  "<style>\n" \
  "body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em; color: #222; background: #fff; }\n" \
  "h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }\n" \
  "table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }\n" \
  "th, td { text-align: right; padding: .3em .6em; border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }\n" \
  ".swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .5em; }\n" \
  ".note { background: #fff6dd; border-left: 4px solid #e0a800; padding: .5em 1em; } .advice { background: #eef6ee; border-left: 4px solid #4a9d5b; padding: .5em 1em; white-space: pre-line; }\n" \
  "svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: #444; } .grid { stroke: #e5e5e5; } .tip { fill: #111; font-weight: 600; }\n" \
  ".placement { color: #555; font-size: .92em; }\n" \
  "@media (prefers-color-scheme: dark) { body { background: #16181c; color: #ddd; } svg text { fill: #bbb; } .grid { stroke: #333; } th, td { border-color: #333; } .note { background: #33290f; } .advice { background: #17281a; } .placement { color: #aaa; } .tip { fill: #fff; } }\n" \
  "</style></head><body>\n" \
  "<h1 id=\"title\"></h1><p id=\"facts\"></p><p id=\"noise\" class=\"note\" hidden></p>\n" \
  "<table id=\"table\"></table>\n" \
  "<h2>Latency: p50 with its 95 % interval, p90 and p99</h2><div id=\"bars\"></div>\n" \
  "<h2>Share of the runs that were done within a time</h2><div id=\"ecdf\"></div>\n" \
  "<h2>Times, round by round</h2><p>What disturbs the machine shows in all lines at once.</p><div id=\"rounds\"></div>\n" \
  "<h2>Throughput</h2><div id=\"throughput\"></div>\n" \
  "<h2>Who ran what</h2><div id=\"placement\" class=\"placement\"></div>\n" \
  "<h2>Which provider</h2><p id=\"advice\" class=\"advice\"></p>\n" \
  "<script id=\"data\" type=\"application/json\">"
#define PAGE_AFTER \
  "</script>\n" \
  "<script>\n" \
  "\"use strict\";\n" \
  "const report = JSON.parse(document.getElementById(\"data\").textContent);\n" \
  "const rows = report.rows.filter(r => r.measured);\n" \
  "const colors = [\"#3b6fb6\", \"#d9822b\", \"#4a9d5b\", \"#b5457a\", \"#7a5cc0\", \"#3aa6a6\", \"#a08a2c\", \"#c0483b\"];\n" \
  "const color = i => colors[i % colors.length];\n" \
  "const byId = id => document.getElementById(id);\n" \
  "const ms = s => { const v = s * 1e3; return v < 1 ? v.toFixed(4) : v < 100 ? v.toFixed(3) : v.toFixed(1); };\n" \
  "const SVG = \"http://www.w3.org/2000/svg\";\n" \
  "function element(parent, name, attributes, text) {\n" \
  "  const node = document.createElementNS(SVG, name);\n" \
  "  for (const key in attributes) node.setAttribute(key, attributes[key]);\n" \
  "  if (text !== undefined) node.textContent = text;\n" \
  "  parent.appendChild(node);\n" \
  "  return node;\n" \
  "}\n" \
  "function chart(id, height) {\n" \
  "  const svg = document.createElementNS(SVG, \"svg\");\n" \
  "  svg.setAttribute(\"viewBox\", \"0 0 1000 \" + height);\n" \
  "  svg.setAttribute(\"role\", \"img\");\n" \
  "  byId(id).appendChild(svg);\n" \
  "  return svg;\n" \
  "}\n" \
  "function ticks(low, high, count) {\n" \
  "  const raw = (high - low) / count || 1, power = Math.pow(10, Math.floor(Math.log10(raw)));\n" \
  "  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw);\n" \
  "  const out = [];\n" \
  "  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) out.push(t);\n" \
  "  return out;\n" \
  "}\n" \
  "const short = v => Math.abs(v) >= 1000 ? Math.round(v).toLocaleString(\"en\") : +v.toPrecision(3) + \"\";\n" \
  "function table() {\n" \
  "  const columns = [\"configuration\", \"p50 ms\", \"±\", \"p90\", \"p99\", \"inf/s\", \"first run\", \"open\", \"MiB\", \"error\", \"peak\", \"by 1st\"];\n" \
  "  const head = byId(\"table\").createTHead().insertRow();\n" \
  "  for (const c of columns) { const th = document.createElement(\"th\"); th.textContent = c; head.appendChild(th); }\n" \
  "  const body = byId(\"table\").createTBody();\n" \
  "  for (const r of report.rows) {\n" \
  "    const tr = body.insertRow(), name = tr.insertCell(), at = rows.indexOf(r);\n" \
  "    if (at >= 0) { const s = document.createElement(\"span\"); s.className = \"swatch\"; s.style.background = color(at); name.appendChild(s); }\n" \
  "    name.appendChild(document.createTextNode(r.label));\n" \
  "    if (at < 0) { const cell = tr.insertCell(); cell.colSpan = columns.length - 1; cell.style.textAlign = \"left\"; cell.textContent = \"not measured: \" + r.text; continue; }\n" \
  "    for (const text of [ms(r.p50), (50 * (r.p50_high - r.p50_low) / r.p50).toFixed(1) + \" %\", ms(r.p90), ms(r.p99), short(r.inferences_per_second), ms(r.first_run), ms(r.open),\n" \
  "      (r.peak_bytes / 1048576).toFixed(1), r.error === null ? \"–\" : r.error.toExponential(1), r.peak_share ? (100 * r.peak_share).toFixed(0) + \" %\" : \"–\", r.ratio ? r.ratio.toFixed(2) + \"×\" : \"–\"]) tr.insertCell().textContent = text;\n" \
  "  }\n" \
  "}\n" \
  "function bars(id, value, marks, unit) {\n" \
  "  const left = 300, right = 940, line = 34, height = rows.length * line + 40, svg = chart(id, height);\n" \
  "  const most = Math.max(...rows.map(r => Math.max(value(r), ...marks.map(m => m.at(r))))) * 1.05;\n" \
  "  const x = v => left + (right - left) * v / most;\n" \
  "  for (const t of ticks(0, most, 8)) {\n" \
  "    element(svg, \"line\", { x1: x(t), x2: x(t), y1: 4, y2: height - 30, class: \"grid\" });\n" \
  "    element(svg, \"text\", { x: x(t), y: height - 12, \"text-anchor\": \"middle\" }, short(t));\n" \
  "  }\n" \
  "  element(svg, \"text\", { x: right + 8, y: height - 12 }, unit);\n" \
  "  rows.forEach((r, i) => {\n" \
  "    const y = i * line + 8, bar = element(svg, \"rect\", { x: left, y, width: Math.max(1, x(value(r)) - left), height: line - 14, fill: color(i), rx: 2 });\n" \
  "    element(bar, \"title\", {}, r.label + \": \" + short(value(r)) + \" \" + unit);\n" \
  "    element(svg, \"text\", { x: left - 8, y: y + 15, \"text-anchor\": \"end\" }, r.label.length > 46 ? r.label.slice(0, 45) + \"…\" : r.label);\n" \
  "    for (const m of marks) {\n" \
  "      const mark = element(svg, \"line\", { x1: x(m.at(r)), x2: x(m.at(r)), y1: y - 2, y2: y + line - 12, stroke: color(i), \"stroke-width\": 2, \"stroke-dasharray\": m.dash });\n" \
  "      element(mark, \"title\", {}, m.name + \": \" + short(m.at(r)) + \" \" + unit);\n" \
  "      if (m.upTo) element(svg, \"line\", { x1: x(m.upTo(r)), x2: x(m.at(r)), y1: y + 10, y2: y + 10, stroke: m.ink || color(i), \"stroke-width\": 1 });\n" \
  "    }\n" \
  "  });\n" \
  "}\n" \
  "function axes(svg, box, xs, ys, x, y, xText, yText) {\n" \
  "  for (const t of ys) { element(svg, \"line\", { x1: box.l, x2: box.r, y1: y(t), y2: y(t), class: \"grid\" }); element(svg, \"text\", { x: box.l - 8, y: y(t) + 4, \"text-anchor\": \"end\" }, yText(t)); }\n" \
  "  for (const t of xs) { element(svg, \"line\", { x1: x(t), x2: x(t), y1: box.t, y2: box.b, class: \"grid\" }); element(svg, \"text\", { x: x(t), y: box.b + 18, \"text-anchor\": \"middle\" }, xText(t)); }\n" \
  "}\n" \
  "const box = { l: 70, r: 980, t: 10, b: 290 };\n" \
  "function ecdf() {\n" \
  "  const svg = chart(\"ecdf\", 330), all = rows.flatMap(r => r.times);\n" \
  "  const low = Math.log10(Math.min(...all)), sorted = [...all].sort((a, b) => a - b), high = Math.log10(sorted[Math.floor((sorted.length - 1) * 0.999)] * 1.05);\n" \
  "  const x = s => box.l + (box.r - box.l) * Math.min(1, (Math.log10(s) - low) / (high - low || 1)), y = p => box.b - (box.b - box.t) * p;\n" \
  "  const steps = [];\n" \
  "  for (let e = Math.floor(low); e <= high; ++e) for (const f of high - low > 2 ? [1] : [1, 1.5, 2, 3, 5, 7]) { const v = f * Math.pow(10, e); if (Math.log10(v) >= low && Math.log10(v) <= high) steps.push(v); }\n" \
  "  axes(svg, box, steps, [0, 0.25, 0.5, 0.75, 0.9, 1], x, y, v => short(v * 1e3) + \" ms\", p => 100 * p + \" %\");\n" \
  "  rows.forEach((r, i) => {\n" \
  "    const times = [...r.times].sort((a, b) => a - b), stride = Math.max(1, Math.floor(times.length / 1000));\n" \
  "    let path = \"\";\n" \
  "    for (let k = 0; k < times.length; k += stride) path += (path ? \"L\" : \"M\") + x(times[k]).toFixed(1) + \",\" + y((k + 1) / times.length).toFixed(1);\n" \
  "    element(element(svg, \"path\", { d: path, fill: \"none\", stroke: color(i), \"stroke-width\": 2 }), \"title\", {}, r.label);\n" \
  "  });\n" \
  "}\n" \
  "function overRounds() {\n" \
  "  const svg = chart(\"rounds\", 330), sorted = rows.flatMap(r => r.times).sort((a, b) => a - b);\n" \
  "  const most = sorted[Math.floor((sorted.length - 1) * 0.99)] * 1.1, count = Math.max(...rows.map(r => r.times.length));\n" \
  "  const x = k => box.l + (box.r - box.l) * k / Math.max(1, count - 1), y = s => box.b - (box.b - box.t) * Math.min(1, s / most);\n" \
  "  axes(svg, box, ticks(0, count - 1, 10).filter(t => Number.isInteger(t)), ticks(0, most, 5), x, y, t => t + \"\", s => short(s * 1e3) + \" ms\");\n" \
  "  rows.forEach((r, i) => {\n" \
  "    const stride = Math.max(1, Math.ceil(r.times.length / 1500));\n" \
  "    let path = \"\";\n" \
  "    for (let k = 0; k < r.times.length; k += stride) path += (path ? \"L\" : \"M\") + x(k).toFixed(1) + \",\" + y(r.times[k]).toFixed(1);\n" \
  "    element(element(svg, \"path\", { d: path, fill: \"none\", stroke: color(i), \"stroke-width\": 1.2, opacity: 0.85 }), \"title\", {}, r.label);\n" \
  "  });\n" \
  "}\n" \
  "document.title = \"kapell bench: \" + report.model.split(\"/\").pop();\n" \
  "byId(\"title\").textContent = document.title;\n" \
  "byId(\"facts\").textContent = \"Kapell \" + report.kapell + \" (\" + report.cpu_features + \"), \" + report.processors + \" processors, peak \" + short(report.peak_gflops) + \" GFLOP/s a core; \" +\n" \
  "  (rows.length ? rows[0].times.length : 0) + \" interleaved rounds in \" + short(report.seconds) + \" s, load average \" + short(report.load) + \". \" +\n" \
  "  (report.narrow ? \"Every median is known closely enough.\" : \"Time was up before every median was known as closely as wanted.\");\n" \
  "if (report.noise) { byId(\"noise\").hidden = false; byId(\"noise\").textContent = report.noise; }\n" \
  "table();\n" \
  "if (rows.length) {\n" \
  "  bars(\"bars\", r => r.p50 * 1e3, [{ name: \"p50 from\", at: r => r.p50_low * 1e3, dash: \"\" }, { name: \"p50 to\", at: r => r.p50_high * 1e3, dash: \"\", upTo: r => r.p50_low * 1e3 },\n" \
  "    { name: \"p90\", at: r => r.p90 * 1e3, dash: \"4 2\", upTo: r => r.p50_high * 1e3 }, { name: \"p99\", at: r => r.p99 * 1e3, dash: \"1 2\", upTo: r => r.p90 * 1e3 }], \"ms\");\n" \
  "  ecdf();\n" \
  "  overRounds();\n" \
  "  bars(\"throughput\", r => r.inferences_per_second, [], \"inf/s\");\n" \
  "}\n" \
  "for (const r of rows) { const p = document.createElement(\"p\"); p.textContent = r.label + \": \" + r.text; byId(\"placement\").appendChild(p); }\n" \
  "byId(\"advice\").textContent = report.advice;\n" \
  "</script></body></html>\n"
// clang-format on
