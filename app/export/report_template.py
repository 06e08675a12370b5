"""How the report looks: its style sheet and its template. Knows no study."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1d2129; background: #fff;
  margin: 0 auto; max-width: 900px; padding: 2.2rem 1.4rem 4rem; overflow-wrap: anywhere; }
header { border-bottom: 2px solid #1d2129; padding-bottom: .9rem; margin-bottom: 1.4rem; }
header p { margin: .15rem 0; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .1rem 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .5rem; padding-top: .3rem; border-top: 1px solid #d9dde4; }
h3 { font-size: 1rem; margin: 1.4rem 0 .35rem; }
p, ul, dl { margin: .5rem 0; max-width: 74ch; } li { margin: .15rem 0; }
.kind { text-transform: uppercase; letter-spacing: .08em; font-size: 12px; color: #5a6473; }
.note, figcaption, caption, small { color: #5a6473; font-size: 13px; }
small { font-size: .9em; font-weight: 400; }
.lead { border-left: 4px solid #0072b2; padding: .2rem 0 .2rem 1rem; font-size: 1.05rem; }
.lead p { margin: .35rem 0; }
nav ol { columns: 2; font-size: 13px; padding-left: 1.7rem; margin: .4rem 0; } nav a { color: #00558a; }
dl { display: grid; grid-template-columns: minmax(8rem, 12rem) 1fr; gap: .2rem 1rem; }
dt { color: #5a6473; } dd { margin: 0; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; line-height: 1.4; width: 100%; margin: .4rem 0 .8rem; }
caption { text-align: left; padding-bottom: .25rem; }
th, td { padding: .28rem .55rem .28rem 0; border-bottom: 1px solid #e3e6eb; text-align: left; vertical-align: top;
  min-width: 5.4rem; }
thead th { border-bottom: 1.5px solid #8b95a3; vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 600; }
th[scope=row] { min-width: 8rem; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; min-width: 3.9rem; }
td.number { white-space: pre; padding-right: .9rem; } th.number { padding-right: .9rem; }
th.short { overflow-wrap: normal; }
.changed { border-left: 4px solid #b98500; padding-left: 1rem; font-weight: 600; }
td.said { white-space: pre-wrap; width: 62%; }
.verdict { font-weight: 650; white-space: nowrap; padding-left: .5rem; border-left: 4px solid #8b95a3; }
.forgotten { border-color: #007a5a; } .damaged { border-color: #b98500; } .undecided { border-color: #8b95a3; }
.hidden, .not-forgotten, .destroyed { border-color: #b3391b; }
.yes { font-weight: 650; } .missing { color: #5a6473; }
code, pre { font: 12px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
pre { white-space: pre-wrap; background: #f5f6f8; padding: .6rem .8rem; margin: .4rem 0; border-radius: 4px; }
figure { margin: .8rem 0 1.4rem; } svg { width: 100%; height: auto; display: block; }
img { image-rendering: pixelated; width: 80px; height: auto; border-radius: 3px; }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; } .pictures figure { width: 96px; margin: .2rem 0; }
article { border-top: 1px solid #e3e6eb; padding-top: .2rem; margin-top: 1rem; }
.prompt { font-weight: 600; white-space: pre-wrap; margin: .3rem 0; }
details { margin: .5rem 0; } summary { cursor: pointer; }
#evidence-record { max-height: 24rem; overflow-y: auto; font-size: 10px; }
@media (max-width: 560px) {
  body { padding: 1.2rem 1rem 3rem; } nav ol { columns: 1; } dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; } table.wide { min-width: 560px; }
  .verdicts thead { display: none; } .verdicts, .verdicts tbody, .verdicts tr, .verdicts th, .verdicts td,
  .verdicts caption { display: block; width: 100%; padding-right: 0; }
  .verdicts th, .verdicts td { border-bottom: 0; } .verdicts tr { border-bottom: 1px solid #e3e6eb; }
}
@page { size: A4; margin: 16mm 15mm 18mm; @bottom-right { content: counter(page) " / " counter(pages);
  font: 9px sans-serif; color: #5a6473; } }
@media print {
  body { font-size: 10.5pt; max-width: none; padding: 0; } nav, .screen { display: none; }
  h1 { font-size: 20pt; } h2 { font-size: 13.5pt; margin-top: 18pt; } h3 { font-size: 11pt; }
  table, .note, figcaption, caption { font-size: 8.8pt; } code, pre { font-size: 8pt; }
  h1, h2, h3, h2 + p, caption, thead, article > .note, .prompt { break-after: avoid; }
  tr, figure, .lead, dl, h2 + p, li { break-inside: avoid; } p { orphans: 3; widows: 3; }
  thead { display: table-header-group; } .scroll { overflow: visible; } a { color: inherit; text-decoration: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

TEMPLATE = """
{%- macro table(told) -%}
<div class="scroll"><table class="wide">
{% if told.caption %}<caption>{{ told.caption | isolated(names) }}</caption>{% endif %}
<thead><tr>{% for name in told.head %}<th scope="col" class="{{ 'number' if loop.index0 in told.numbers }}\
{{ ' short' if name | length < 12 }}"><bdi>{{ name }}</bdi></th>{% endfor %}</tr></thead>
<tbody>
{% for row in told.rows %}
<tr>{% for cell in row %}{% if loop.first %}<th scope="row"><bdi>{{ cell }}</bdi></th>{% else -%}
<td{% if loop.index0 in told.numbers %} class="number"{% endif %}>{{ cell | isolated(names) }}</td>{% endif %}\
{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{%- endmacro -%}
{%- macro marker(point) -%}
{% set fill = point.colour if point.filled else '#ffffff' %}
{% if point.corners %}<polygon points="{{ point.corners }}" fill="{{ fill }}" stroke="{{ point.colour }}" \
stroke-width="1.6"/>{% else %}<circle cx="{{ point.x }}" cy="{{ point.y }}" r="5" fill="{{ fill }}" \
stroke="{{ point.colour }}" stroke-width="1.6"/>{% endif %}
{%- endmacro -%}
{%- macro curve(plot) -%}
{% set f = plot.figure %}
<svg viewBox="0 0 {{ f.width }} {{ f.height }}" role="img" aria-label="{{ plot.alt }}" font-family="sans-serif" \
font-size="11" fill="#1d2129">
{% for tick in f.x_ticks %}<line x1="{{ tick.at }}" x2="{{ tick.at }}" y1="{{ f.top }}" y2="{{ f.bottom }}" \
stroke="#e3e6eb"/><text x="{{ tick.at }}" y="{{ f.bottom + 16 }}" text-anchor="middle" fill="#5a6473">{{ tick.text }}\
</text>{% endfor %}
{% for tick in f.y_ticks %}<line x1="{{ f.left }}" x2="{{ f.right }}" y1="{{ tick.at }}" y2="{{ tick.at }}" \
stroke="#e3e6eb"/><text x="{{ f.left - 7 }}" y="{{ tick.at + 4 }}" text-anchor="end" fill="#5a6473">{{ tick.text }}\
</text>{% endfor %}
<text x="{{ (f.left + f.right) / 2 }}" y="{{ f.height - 8 }}" text-anchor="middle">{{ f.x_title }}</text>
<text transform="translate(14 {{ (f.top + f.bottom) / 2 }}) rotate(-90)" text-anchor="middle" \
font-size="{{ f.y_size }}">{{ f.y_title }}</text>
{% for zone in f.zones %}<path d="{{ zone.outline }}" fill="#667080" fill-opacity=".05"/><path d="{{ zone.hatch }}" \
stroke="#667080" stroke-opacity=".35" fill="none"/><text x="{{ zone.label.x }}" y="{{ zone.label.y }}" \
text-anchor="{{ zone.label.anchor }}" font-size="10" fill="#5a6473">{{ zone.label.text }}</text>{% endfor %}
{% for line in f.lines %}<polyline points="{{ line.points }}" fill="none" stroke="{{ line.colour }}" \
stroke-dasharray="{{ line.dash }}" stroke-opacity=".55" stroke-width="1.4"/>{% endfor %}
{% for p in f.points %}<path d="M{{ p.left }} {{ p.y }}H{{ p.right }}M{{ p.x }} {{ p.upper }}V{{ p.lower }}" \
stroke="{{ p.colour }}" stroke-opacity=".3"/>{% endfor %}
{% for p in f.points %}<g><title>{{ p.name }}</title>{{ marker(p) }}</g>{% endfor %}
{% for p in f.points if p.label %}<text x="{{ p.label.x }}" y="{{ p.label.y }}" text-anchor="{{ p.label.anchor }}" \
stroke="#ffffff" stroke-width="3" paint-order="stroke" stroke-linejoin="round">{{ p.label.text }}</text>{% endfor %}
</svg>
{%- endmacro -%}
<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{{ style_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="UnlearnBoard {{ version }}">
<meta name="unlearnboard-seal" content="{{ seal }}">
<meta name="unlearnboard-evidence" content="{{ evidence_digest }}">
<title>Unlearning report: {{ study.name }}</title>
<style>{{ style | safe }}</style></head>
<body>
<header>
<p class="kind">Unlearning report{% if redacted %} · forgotten content hidden{% endif %}</p>
<h1 dir="auto">{{ study.name }}</h1>
{% if study.description %}<p dir="auto">{{ study.description }}</p>{% endif %}
<p class="note">{{ made }} · UnlearnBoard {{ version }} · evidence {{ evidence_digest[:16] }}…</p>
</header>
<main>
<section id="verdict">
<div class="lead">{% for sentence in summary %}<p>{{ sentence | isolated(names) }}</p>{% endfor %}</div>
{% if loosened %}<p class="changed">Thresholds differ from the defaults: {{ loosened | join(', ') }}.</p>{% endif %}
{% for sentence in contract_result %}{% if loop.first %}<p>Contract (section {{ number.contract }}): {% endif %}\
{{ sentence | isolated(names) }}{% if loop.last %}</p>{% else %} {% endif %}{% endfor %}
<p class="note">Relative to this original, {{ 'this retained model' if retained else 'no retained model' }} and these \
tests. Not said by a model is not the same as gone from it; section {{ number.untested }} names what was not tested.</p>
<nav class="screen" aria-label="Sections"><ol>
{% for id, name in sections %}<li><a href="#{{ id }}">{{ name }}</a></li>{% endfor %}
</ol></nav>
<div class="scroll"><table class="verdicts"><caption>The verdict on each method, the best first. Shown of each method: \
its best checkpoint that no longer says it.</caption>
<thead><tr><th scope="col">Model</th><th scope="col">Verdict</th><th scope="col">In words</th></tr></thead><tbody>
{% for row in verdict_rows %}<tr><th scope="row" dir="auto">{{ row.model }}{% if row.more %}\
<br><small>{{ row.more }}</small>{% endif %}</th>
<td><span class="verdict {{ row.css }}">{{ row.title }}</span>\
{% if row.badges %}<br><small class="badges">{{ row.badges | join('; ') | isolated(names) }}</small>{% endif %}</td>
<td>{{ row.sentence | isolated(names) }}</td></tr>
{% endfor %}</tbody></table></div>
</section>
<section id="request"><h2>{{ number.request }}. What was to be forgotten, and at whose request</h2>
<dl>{% for name, text in request %}<dt>{{ name }}</dt><dd dir="auto">{{ text }}</dd>{% endfor %}</dl>
{% if unsaid %}<p class="note">Not stated in the study file: {{ unsaid | join(', ') }}.</p>{% endif %}
</section>
<section id="models"><h2>{{ number.models }}. Models</h2>{{ table(models) }}
<p class="note">The fingerprint is BLAKE3 over the content of every tensor, so that it names the weights wherever they \
lie.</p></section>
<section id="data"><h2>{{ number.data }}. Data</h2>{{ table(data) }}
{% if no_licence %}<p class="note">A licence that the study file does not state is unknown here.</p>{% endif %}
</section>
<section id="protocol"><h2>{{ number.protocol }}. How it was measured</h2>
{% for sentence in protocol %}<p>{{ sentence | isolated(names) }}</p>{% endfor %}
<h3>The rules of the verdict</h3><ul>{% for line in rules %}<li>{{ line }}</li>{% endfor %}</ul></section>
<section id="findings"><h2>{{ number.findings }}. Findings</h2>
<p>Every question to a method's best checkpoint: what was measured, what it is held against, and the answer. “Yes” \
speaks against the model.</p>
{% for each in findings %}<h3><bdi>{{ each.model }}</bdi>: {{ each.title }}</h3>{{ table(each.table) }}{% endfor %}
</section>
{% if 'contract' in number %}<section id="contract"><h2>{{ number.contract }}. Contract</h2>
<p>What the study file promises of its unlearned models. A condition holds where the whole 95 % interval of the \
difference to its line is on the right side, is broken where all of it is on the wrong side or nothing was measured, \
and is undecided otherwise.{% for sentence in contract_result %} {{ sentence | isolated(names) }}{% endfor %}</p>
{% for told in contract %}{{ table(told) }}{% endfor %}</section>
{% endif %}<section id="curves"><h2>{{ number.curves }}. Forgetting against what it cost</h2>
{% for plot in plots %}<figure><figcaption><strong>{{ plot.name }}</strong></figcaption>{{ curve(plot) }}
<figcaption>{{ plot.caption | isolated(names) }}</figcaption></figure>
<details class="screen"><summary>Values of this figure</summary>{{ table(plot.table) }}</details>{% endfor %}
{% for told in slices %}{% if loop.first %}<h3>Side effects by slice</h3><p>Where a mean over all probes hides what \
happened to some of them.</p>{% endif %}{{ table(told) }}{% endfor %}
</section>
<section id="examples"><h2>{{ number.examples }}. Examples</h2>
<p>{{ example_rule }}{% if redacted %} What models made of forget probes is hidden; the numbers are \
theirs.{% endif %}</p>
{% for each in examples %}<article><p class="note">{{ each.metric }}</p>
<p class="prompt" dir="auto">{{ each.prompt }}</p>
{% if each.reference %}<p class="note">Reference: <bdi>{{ each.reference }}</bdi></p>{% endif %}
{% if not text %}<div class="pictures">{% for said in each.said %}<figure>
{% if said.picture %}<img alt="Picture by {{ said.model }}" src="{{ said.picture }}">{% else %}{{ said.text }}
{% endif %}
<figcaption dir="auto">{{ said.model }}<br>{{ said.value }}</figcaption></figure>{% endfor %}</div>
{% else %}<table><thead><tr><th scope="col">Model</th><th scope="col">Said</th>\
<th scope="col" class="number">Value</th></tr></thead><tbody>
{% for said in each.said %}<tr><th scope="row" dir="auto">{{ said.model }}</th><td class="said" dir="auto">\
{{ said.text }}</td><td class="number">{{ said.value }}</td></tr>{% endfor %}
</tbody></table>{% endif %}</article>{% endfor %}</section>
<section id="untested"><h2>{{ number.untested }}. What was not tested</h2>
<ul>{% for line in untested %}<li>{{ line | isolated(names) }}</li>{% endfor %}</ul></section>
<section id="numbers"><h2>{{ number.numbers }}. All numbers</h2>
<p class="note">95 % intervals below each value.{% if more_models %} Numbers of the other {{ more_models }} models are \
in the evidence record.{% endif %}</p>
{% for told in numbers %}{{ table(told) }}{% endfor %}</section>
<section id="reproduce"><h2>{{ number.reproduce }}. How to check and reproduce this</h2>
<p>With the study file and its cache (or a packed study), from the folder of the study:</p>
<pre>{{ commands | join('\n') }}</pre>
<p>“Same evidence, same numbers” means that the cache gives this report’s evidence and numbers now; else what differs \
is named. The seal finds a report that was edited; who wrote it is shown only by a signature on the statement that \
<code>--attest</code> writes.</p>
<dl><dt>Evidence (BLAKE3)</dt><dd><code>{{ evidence_digest }}</code></dd>
{% for name, text in provenance %}<dt>{{ name }}</dt><dd>{{ text }}</dd>{% endfor %}</dl>
<details class="screen"><summary>Evidence record: what the digest is of</summary>
<pre id="evidence-record">{{ record }}</pre></details>
</section>
</main>
</body></html>
"""
