//! The page's style sheet. Colours keep a contrast of 4.5 to 1 against their
//! ground, and never say anything that a shape or a word does not say too.

pub(super) const CSS: &str = r"
:root{color-scheme:light dark;--ink:#17202b;--soft:#55606e;--line:#d5dbe3;--ground:#fff;--tint:#f4f6f9;--blue:#0b5394;
--orange:#a04000;--red:#b3141b;--green:#1a6b3c}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e4e8ee;--soft:#a9b4c2;--line:#3a4450;
--ground:#14181d;--tint:#1f262e;--blue:#84b8ea;--orange:#f2a65e;--red:#ff8f8f;--green:#74d09b}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;color:var(--ink);background:var(--ground);
font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}
header,main,footer{max-width:1240px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.25;margin:2px 0;overflow-wrap:anywhere}
h2{font-size:20px;margin:0 0 6px}
h3{font-size:16px;margin:22px 0 6px;overflow-wrap:anywhere}
.product{margin:0;color:var(--soft);font-weight:600;letter-spacing:.02em}
.asof{margin:0 0 18px;color:var(--soft)}
section{margin:36px 0}
section>p{max-width:75ch}
.verdict{display:flex;gap:16px;border:2px solid;border-left-width:12px;border-radius:6px;
padding:16px 20px;margin:0 0 20px}
.verdict p{margin:0}.verdict .sign{font-size:32px;line-height:1.1;font-weight:700}
.verdict.good{border-color:var(--green)}.good .sign,.good h2{color:var(--green)}
.verdict.note{border-color:var(--orange)}.note .sign,.note h2{color:var(--orange)}
.verdict.bad{border-color:var(--red)}.bad .sign,.bad h2{color:var(--red)}
.figures{display:flex;flex-wrap:wrap;gap:8px 40px;margin:0;padding:14px 20px;background:var(--tint);
border-radius:6px}
.figures dt{color:var(--soft);font-size:14px}.figures dd{margin:0;font-size:22px;font-weight:600}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:3px solid var(--blue);
outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;padding:8px 12px;color:var(--soft)}
th,td{text-align:left;vertical-align:top;padding:7px 12px;border-bottom:1px solid var(--line)}
thead th{background:var(--tint);font-weight:600;white-space:nowrap}
tbody tr:last-child>*{border-bottom:0}
td[data-h=items]{min-width:12em}td[data-h='valid until']{white-space:nowrap}
td.id,code{font:13px/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;
overflow-wrap:anywhere}
.badge{display:inline-block;font-weight:700;white-space:nowrap}
.opened,.widened{color:var(--orange)}.closed,.narrowed{color:var(--soft)}
.trust,.reviewers,.release,.ceilings{color:var(--orange)}.operations{color:var(--soft)}
.rerouted,.reclassified,.remapped{color:var(--blue)}.undeclared,.no{color:var(--red)}.yes{color:var(--green)}
summary{cursor:pointer}
details ul{margin:4px 0 4px 18px;padding:0}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;margin:8px 0 12px;padding:0;list-style:none}
.legend b{display:inline-block;min-width:1.2em;text-align:center}
.d{color:var(--blue)}.o{color:var(--blue)}.n{color:var(--orange)}.x{color:var(--red)}
.matrix{width:auto;min-width:100%}
.matrix th,.matrix td{padding:3px 10px;white-space:nowrap}
.matrix thead th{vertical-align:bottom;text-align:center;border-left:1px solid var(--line)}
.matrix thead th:first-child{text-align:left;border-left:0}
.matrix .purpose{font-weight:400;white-space:normal;overflow-wrap:break-word}
.matrix td{text-align:center;border-left:1px solid var(--line);font-variant-numeric:tabular-nums}
.matrix tbody th{position:sticky;left:0;background:var(--ground);font-weight:400;z-index:1}
.matrix tr.domain th{background:var(--tint);font-weight:700}
.matrix td i{font-style:normal;font-size:16px;line-height:1;margin-right:3px}
.many td,.many th{padding:2px 5px;font-size:12px}
.many .purpose{writing-mode:vertical-rl;transform:rotate(180deg);max-width:none;max-height:12em;
text-align:left}
svg{display:block;width:100%;min-width:760px;height:auto}
svg text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:var(--ink)}
svg text{paint-order:stroke;stroke:var(--ground);stroke-width:3.5px;stroke-linejoin:round}
svg .node{fill:var(--ink)}svg .head{font-weight:700}svg .count{fill:var(--soft);font-size:12px}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--ground);padding:6px}
footer{border-top:1px solid var(--line);margin-top:40px;padding-top:20px;padding-bottom:40px;
color:var(--ink)}
footer dl{display:grid;grid-template-columns:minmax(9em,auto) 1fr;gap:4px 20px;margin:0;font-size:14px}
footer dt{color:var(--soft)}footer dd{margin:0}
@media (max-width:640px){
header,main,footer{padding-left:14px;padding-right:14px}
h1{font-size:22px}section{margin:28px 0}
.figures{gap:8px 24px}.figures dd{font-size:19px}
.stack thead{position:absolute;left:-9999px}
.stack,.stack tbody,.stack tr,.stack td,.stack th{display:block;width:100%}
.stack tr{border-bottom:1px solid var(--line);padding:8px 0}
.stack tbody tr:last-child{border-bottom:0}
.stack td,.stack tbody th{border:0;padding:2px 12px;overflow-wrap:anywhere}
.stack td[data-h]::before{content:attr(data-h) ': ';color:var(--soft)}
footer dl{grid-template-columns:1fr}footer dd{margin-bottom:6px}
}
@media print{
@page{size:A4 landscape;margin:12mm}
body{font-size:11px}table{font-size:10px}h1{font-size:18px}h2{font-size:14px}
header,main,footer{max-width:none;padding:0}
section{margin:16px 0}.skip{display:none}
.scroll{overflow:visible;border:0}svg{min-width:0;max-height:170mm}
.verdict,tr,p,.figures,svg,footer dl{break-inside:avoid}h2,section>p,summary,tr.domain{break-after:avoid}
footer dl{font-size:10px}thead{display:table-header-group}
.matrix th,.matrix td{padding:1px 4px}.matrix tbody th{position:static}
details::details-content{content-visibility:visible;display:block;block-size:auto}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
}
";
