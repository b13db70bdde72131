"""The style sheet of a page: for screens of any width, light and dark, and for paper."""

STYLE = """
:root { --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --paper: #ffffff;
  --champion: #0b62b0; --shadow: #b4530a; --good: #1a7f37; --bad: #b3261e; --open: #7a5c00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa6b2; --line: #343b43; --paper: #14181d;
    --champion: #6cb6ff; --shadow: #f0a060; --good: #56d364; --bad: #ff8a80; --open: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 1.2rem; }
h1 { font-size: 1.5rem; margin: 0.2rem 0; } h2 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
h2::first-letter { text-transform: uppercase; }
p { margin: 0.3rem 0; color: var(--soft); }
.verdict { padding: 0.6rem 0.8rem; border-left: 4px solid var(--open); color: var(--ink); }
.verdict.better, .verdict.equivalent { border-color: var(--good); }
.verdict.worse, .verdict.refused { border-color: var(--bad); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.25rem 0.7rem 0.25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); font-weight: 400; }
thead th, th[scope=row] { color: var(--soft); }
th[scope=row] { min-width: 9rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; } figcaption { color: var(--soft); font-size: 0.87rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font-size: 11px; }
svg .tick { fill: var(--soft); font-size: 10px; } .grid { stroke: var(--line); stroke-width: 0.6; }
.line { fill: none; stroke-width: 1.8; stroke: var(--soft); } .dot { fill-opacity: 0.45; }
.line.champion { stroke: var(--champion); } .line.shadow { stroke: var(--shadow); stroke-dasharray: 6 2; }
.area { fill: var(--soft); fill-opacity: 0.16; } .area.champion { fill: var(--champion); } .area.shadow { fill: var(--shadow); }
.whisker { stroke: var(--soft); stroke-width: 1.2; } .whisker.champion { stroke: var(--champion); } .whisker.shadow { stroke: var(--shadow); }
.bar, .dot { fill: var(--soft); } .bar.champion, .dot.champion { fill: var(--champion); }
.bar.shadow, .dot.shadow { fill: var(--shadow); }
.mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 3 3; }
.legend span { margin-right: 1rem; } .legend .champion { color: var(--champion); }
.legend .shadow { color: var(--shadow); }
pre { overflow-x: auto; font-size: 0.8rem; padding: 0.6rem; border: 1px solid var(--line); }
@media screen and (max-width: 640px) {
  .headed thead { display: none; } .headed tr { display: block; padding: 0.35rem 0; border-bottom: 1px solid var(--line); }
  .headed th[scope=row], .headed td { display: block; border: 0; padding: 0.1rem 0; }
  .headed th[scope=row] { color: var(--ink); font-weight: 600; } .headed td:empty { display: none; }
  .headed td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); } }
@media print { main { max-width: none; padding: 0; } pre { white-space: pre-wrap; font-size: 0.6rem; border: 0; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; } }
"""
