//! The page for a person: plain words, no value of any item, two languages.

use std::collections::{BTreeMap, BTreeSet};

use maud::{DOCTYPE, Markup, html};

use super::words::Language;
use crate::cli::html::head;
use crate::domain::audit::access::{AccessReport, RequestAccess};
use crate::domain::catalogue::Catalogue;
use crate::domain::item::ItemNumber;
use crate::store::verify::Report;

const CSS: &str = "body{margin:0 auto;max-width:760px;padding:20px;color:#17202b;background:#fff;\
font:17px/1.6 system-ui,'Noto Sans','Noto Sans CJK SC','PingFang SC',sans-serif}\
h1{font-size:26px;margin-bottom:4px}h2{font-size:19px;margin:28px 0 4px}\
article{border:1px solid #d5dbe3;border-radius:6px;padding:4px 18px 14px;margin:16px 0;\
break-inside:avoid}\
dl{display:grid;grid-template-columns:auto 1fr;gap:2px 16px;margin:8px 0}dt{color:#55606e}\
dd{margin:0;overflow-wrap:anywhere}.refused{color:#b3141b;font-weight:600}\
.given{color:#0b5394;font-weight:600}footer{color:#55606e;font-size:14px;overflow-wrap:anywhere}\
ul{margin:2px 0 8px;padding-left:22px}small{color:#55606e;font-weight:400}\
summary{cursor:pointer}table{border-collapse:collapse;width:100%;margin:12px 0}\
th,td{text-align:left;vertical-align:top;padding:4px 10px;border-bottom:1px solid #d5dbe3}\
nav a{color:#0b5394}\
section+section{border-top:2px solid #d5dbe3;margin-top:40px}@media print{body{font-size:12px}}";

pub(super) fn render(access: &AccessReport, catalogue: &Catalogue, logs: &[Report]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head("Who asked about you · 谁查询了您的信息", CSS))
            body {
                nav { a href="#en" { "English" } " · " a href="#zh" lang="zh-Hans" { "中文" } }
                main {
                    (section(Language::English, "en", access, catalogue, logs))
                    (section(Language::Chinese, "zh", access, catalogue, logs))
                }
                footer {
                    @for log in logs {
                        p { "Log " (log.origin) ", " (log.published) " entries, root " (log.root) }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn section(
    language: Language,
    id: &str,
    access: &AccessReport,
    catalogue: &Catalogue,
    logs: &[Report],
) -> Markup {
    let count = access.requests.len();
    html! {
        section id=(id) lang=(language.tag()) {
            h1 { (language.pick("Who asked about you", "谁查询了您的信息")) }
            p { @match (language, count) {
                (Language::English, 0) => "Nobody asked about you in this log.",
                (Language::English, 1) => "There was one request. This page says who asked, when, \
                    why, for what, and what was refused. It does not hold the facts themselves.",
                (Language::English, _) => { "There were " (count) " requests. This page says who \
                    asked, when, why, for what, and what was refused. It does not hold the facts \
                    themselves." },
                (Language::Chinese, 0) => "本日志中没有人查询过您的信息。",
                (Language::Chinese, _) => { "共有 " (count) " 次查询。本页说明谁在何时、出于何种目的\
                    查询了哪些信息，以及哪些被拒绝。本页不包含信息内容本身。" },
            } }
            @for log in logs { @if let Some(gone) = &log.pruned {
                p { @match language {
                    Language::English => { "Records up to " (gone.until) " were removed from the log \
                        " (log.origin) " on " (gone.on) ", after the time for which they are kept: \
                        who asked before that is not shown here." },
                    Language::Chinese => { "日志 " (log.origin) " 中截至 " (gone.until) " 的记录已在\
                        保存期满后于 " (gone.on) " 删除：此前的查询不在本页显示。" },
                } }
            } }
            (summary(language, access, catalogue))
            @for request in &access.requests { (article(language, request, catalogue)) }
            p { (language.pick(
                "If something here should not have happened, write to the agency or to the \
                 supervisor, and quote the request's number.",
                "如果您认为其中有不应发生的查询，请联系相关机构或监管部门，并提供查询编号。",
            )) }
        }
    }
}

/// Who, how often, and about which kinds of fact: what a reader wants first.
fn summary(language: Language, access: &AccessReport, catalogue: &Catalogue) -> Markup {
    let mut by: BTreeMap<&str, (usize, usize, BTreeSet<String>)> = BTreeMap::new();
    for request in &access.requests {
        let (times, given, kinds) = by.entry(&request.consumer).or_default();
        *times += 1;
        let mut released =
            request.agencies.iter().filter(|agency| agency.decision == "OK").peekable();
        *given += usize::from(released.peek().is_some());
        for number in released.flat_map(|agency| &agency.items.numbers) {
            let item = ItemNumber::new(u32::from(*number)).and_then(|at| catalogue.item(at));
            kinds.extend(item.map(|item| item.category().replace(['.', '_'], " ")));
        }
    }
    html! {
        @if !by.is_empty() {
            table {
                thead { tr {
                    th scope="col" { (language.pick("who", "查询方")) }
                    th scope="col" { (language.pick("requests", "查询次数")) }
                    th scope="col" { (language.pick("with facts given", "提供了信息的次数")) }
                    th scope="col" { (language.pick("kinds of fact given", "提供的信息类别")) }
                } }
                tbody { @for (who, (times, given, kinds)) in &by {
                    @let (name, organisation) = consumer(who);
                    tr {
                        th scope="row" { (name) " · " (organisation) }
                        td { (times) } td { (given) }
                        td {
                            @if kinds.is_empty() { (language.pick("none", "无")) }
                            @else { (kinds.iter().cloned().collect::<Vec<_>>().join("; ")) }
                        }
                    }
                } }
            }
        }
    }
}

fn article(language: Language, request: &RequestAccess, catalogue: &Catalogue) -> Markup {
    let (who, organisation) = consumer(&request.consumer);
    let day = request.time.get(..16).unwrap_or(&request.time).replace('T', " ");
    let purpose = request.purpose.as_deref().map(|purpose| language.purpose(purpose));
    let basis = request.legal_basis.as_deref().map(|basis| language.basis(basis));
    let unstated = || language.pick("not stated", "未说明").to_owned();
    html! {
        article {
            h2 { (who) " " small { (day) } }
            details {
            summary { (language.pick("what was asked, and what came of it", "查询内容与结果")) }
            dl {
                dt { (language.pick("of", "所属")) } dd { (organisation) }
                dt { (language.pick("when", "时间")) } dd { time datetime=(request.time) { (day) " UTC" } }
                dt { (language.pick("what for", "目的")) } dd { (purpose.unwrap_or_else(unstated)) }
                dt { (language.pick("allowed because", "依据")) } dd { (basis.unwrap_or_else(unstated)) }
                dt { (language.pick("request", "查询编号")) } dd { (request.request) }
            }
            @for agency in &request.agencies {
                p class=(if agency.decision == "OK" { "given" } else { "refused" }) {
                    (agency.agency.replace('_', " ")) " "
                    (language.decision(&agency.decision))
                }
                (items(language, &agency.items.numbers, catalogue))
            }
            @for refused in &request.refused {
                p.refused {
                    (language.pick("Refused: nothing was given on", "已被拒绝，未提供任何信息"))
                    @if let Some(reason) = &refused.reason { " (" (reason) ")" }
                }
                (items(language, &refused.items.numbers, catalogue))
            }
            }
        }
    }
}

fn items(language: Language, numbers: &[u16], catalogue: &Catalogue) -> Markup {
    html! {
        @if !numbers.is_empty() {
            ul { @for number in numbers { li {
                @match ItemNumber::new(u32::from(*number)).and_then(|at| catalogue.item(at)) {
                    Some(item) => (language.pick(&item.title.en, &item.title.zh)),
                    None => { (language.pick("an item that is no longer listed, number ",
                        "已不在目录中的项目，编号 ")) (number) },
                }
            } } }
        }
    }
}

/// A SPIFFE id for people: the name at its end and the trust domain.
fn consumer(id: &str) -> (String, &str) {
    let rest = id.strip_prefix("spiffe://").unwrap_or(id);
    let organisation = rest.split('/').next().unwrap_or_default();
    (rest.rsplit('/').next().unwrap_or_default().replace('-', " "), organisation)
}
