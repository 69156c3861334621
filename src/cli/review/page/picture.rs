//! The picture: agencies on the left, domains in the middle, consumers on the
//! right; a band for what can flow, as wide as there are items. The matrix says the
//! same in words.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::matrix::short;
use super::{Review, agency_title};
use crate::cli::review::compared::Judged;
use crate::domain::flows::change::Class;
use crate::domain::item::ItemSet;

const WIDTH: f64 = 1000.0;
/// The left edges of the three columns of nodes.
const COLUMNS: [f64; 3] = [225.0, 505.0, 800.0];
const NODE: f64 = 14.0;
const TOP: f64 = 34.0;
const GAP: f64 = 12.0;

/// Up to so many, the middle column shows categories; beyond, domains.
const CATEGORIES: usize = 24;

struct Node {
    label: String,
    items: ItemSet,
    top: f64,
    height: f64,
    /// Where the next band leaves, and arrives.
    out: f64,
    into: f64,
}

struct Band {
    from: (f64, f64),
    to: (f64, f64),
    width: f64,
    /// The part of the width that is new.
    fresh: f64,
    text: String,
}

type Links<'a> = BTreeMap<(&'a str, &'a str), (ItemSet, ItemSet)>;

pub(super) fn picture(review: &Review, judged: Option<&[Judged<'_>]>) -> Markup {
    let (left, right) = links(review, judged);
    if left.is_empty() {
        return html! {};
    }
    let middle: BTreeSet<&str> = left.keys().map(|(_, middle)| *middle).collect();
    let count = middle.len().max(agencies(&left).len()).max(consumers(&right).len());
    let height = (count as f64 * 34.0).max(320.0);
    let mut nodes = [
        place(agencies(&left), height, |id| agency_title(&review.federation, id).to_owned()),
        place(inner(&left), height, str::to_owned),
        place(consumers(&right), height, |id| short(id).to_owned()),
    ];
    let mut bands = Vec::new();
    connect(&mut nodes, 0, &left, &mut bands);
    connect(&mut nodes, 1, &right, &mut bands);
    let total = TOP + height + 10.0;
    let heads = ["agencies", "domains", "consumers"];
    html! {
        section aria-labelledby="picture" {
            h2 #picture { "From whom to whom" }
            p { "Bands are as wide as there are items. A dashed orange line inside a band is what \
                 this change opened or widened." }
            div.scroll tabindex="0" role="group" aria-labelledby="picture" {
                svg viewBox=(format!("0 0 {WIDTH} {total:.0}")) role="img"
                    aria-labelledby="picture" {
                    @for (head, x) in heads.iter().zip(COLUMNS) {
                        text.head x=(x + NODE / 2.0) y="18" text-anchor="middle" { (head) }
                    }
                    @for band in &bands { (path(band, false)) }
                    @for band in bands.iter().filter(|band| band.fresh > 0.0) {
                        (path(band, true))
                    }
                    @for (at, column) in nodes.iter().enumerate() {
                        @for node in column.values() { (rectangle(at, node)) }
                    }
                }
            }
        }
    }
}

fn path(band: &Band, fresh: bool) -> Markup {
    let ((x, y), (to_x, to_y)) = (band.from, band.to);
    let bend = (to_x - x) / 2.0;
    let d = format!(
        "M{x:.1} {y:.1}C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}",
        x + bend,
        to_x - bend
    );
    let (colour, opacity, dash, width) = match fresh {
        true => ("#c8590a", "0.9", Some("9 4"), (band.width * band.fresh).max(2.5)),
        false => ("#5b86b5", "0.38", None, band.width),
    };
    html! {
        path d=(d) fill="none" stroke=(colour) stroke-opacity=(opacity)
            stroke-width=(format!("{width:.1}")) stroke-dasharray=[dash] {
            title { (band.text) }
        }
    }
}

fn rectangle(column: usize, node: &Node) -> Markup {
    let x = COLUMNS.get(column).copied().unwrap_or_default();
    let y = node.top + node.height / 2.0 + 4.0;
    let (at, anchor) = match column {
        0 => (x - 8.0, "end"),
        _ => (x + NODE + 8.0, "start"),
    };
    // Long names are cut; the title has them whole.
    let label: String = match node.label.char_indices().nth(24) {
        Some((cut, _)) => format!("{}…", node.label.get(..cut).unwrap_or_default()),
        None => node.label.clone(),
    };
    html! {
        rect x=(format!("{x:.1}")) y=(format!("{:.1}", node.top)) width=(NODE)
            height=(format!("{:.1}", node.height)) rx="2" class="node" {
            title { (node.label) }
        }
        text x=(format!("{at:.1}")) y=(format!("{y:.1}")) text-anchor=(anchor) {
            (label) " " tspan.count { (node.items.len()) }
        }
    }
}

/// Items of an agency in a domain, and of a domain to a consumer: all of them, and
/// those that this change opened or widened.
fn links<'a>(review: &'a Review, judged: Option<&'a [Judged<'_>]>) -> (Links<'a>, Links<'a>) {
    let catalogue = &review.federation.catalogue;
    let categories: BTreeSet<&str> = catalogue.items().iter().map(|item| item.category()).collect();
    let by_category = categories.len() <= CATEGORIES;
    let mut groups: BTreeMap<&str, ItemSet> = BTreeMap::new();
    for item in catalogue.items() {
        let group = if by_category { item.category() } else { item.domain() };
        groups.entry(group).or_default().insert(item.number);
    }
    let (mut left, mut right): (Links<'_>, Links<'_>) = Default::default();
    let mut add = |agency: &'a str, consumer: &'a str, items: &ItemSet, fresh: bool| {
        for (group, members) in &groups {
            let part = items.and(members);
            if !part.is_empty() {
                for link in [
                    left.entry((agency, *group)).or_default(),
                    right.entry((*group, consumer)).or_default(),
                ] {
                    link.0 = link.0.or(&part);
                    if fresh {
                        link.1 = link.1.or(&part);
                    }
                }
            }
        }
    };
    for flow in &review.flows {
        add(flow.agency.as_str(), flow.consumer.as_str(), &flow.items, false);
    }
    for judged in judged.into_iter().flatten() {
        let change = judged.change;
        if matches!(change.class, Class::Opened | Class::Widened) {
            add(change.agency.as_str(), change.consumer.as_str(), &change.items, true);
        }
    }
    (left, right)
}

fn agencies<'a>(left: &Links<'a>) -> BTreeMap<&'a str, ItemSet> {
    ends(left.iter().map(|((agency, _), (items, _))| (*agency, items)))
}

fn inner<'a>(left: &Links<'a>) -> BTreeMap<&'a str, ItemSet> {
    ends(left.iter().map(|((_, group), (items, _))| (*group, items)))
}

fn consumers<'a>(right: &Links<'a>) -> BTreeMap<&'a str, ItemSet> {
    ends(right.iter().map(|((_, consumer), (items, _))| (*consumer, items)))
}

fn ends<'a, 'b>(links: impl Iterator<Item = (&'a str, &'b ItemSet)>) -> BTreeMap<&'a str, ItemSet> {
    let mut all: BTreeMap<&str, ItemSet> = BTreeMap::new();
    for (name, items) in links {
        let known = all.entry(name).or_default();
        *known = known.or(items);
    }
    all
}

/// Stacks a column's nodes over the whole height, by their items.
fn place(
    items: BTreeMap<&str, ItemSet>,
    height: f64,
    label: impl Fn(&str) -> String,
) -> BTreeMap<&str, Node> {
    let gaps = GAP * (items.len().max(1) - 1) as f64;
    let least = 16.0_f64.min((height - gaps) / items.len().max(1) as f64);
    let free = (height - gaps - least * items.len() as f64).max(0.0);
    let total: usize = items.values().map(ItemSet::len).sum();
    let mut top = TOP;
    let mut nodes = BTreeMap::new();
    for (id, set) in items {
        let share = set.len() as f64 / total.max(1) as f64;
        let height = least + free * share;
        let node = Node { label: label(id), items: set, top, height, out: top, into: top };
        nodes.insert(id, node);
        top += height + GAP;
    }
    nodes
}

fn connect<'a>(
    nodes: &mut [BTreeMap<&'a str, Node>; 3],
    from: usize,
    links: &Links<'a>,
    bands: &mut Vec<Band>,
) {
    // A node's bands share its height.
    let mut out: BTreeMap<&str, usize> = BTreeMap::new();
    let mut into: BTreeMap<&str, usize> = BTreeMap::new();
    for ((a, b), (items, _)) in links {
        *out.entry(a).or_default() += items.len();
        *into.entry(b).or_default() += items.len();
    }
    for ((a, b), (items, fresh)) in links {
        let share = |all: Option<&usize>| items.len() as f64 / all.copied().unwrap_or(1) as f64;
        let (share_out, share_in) = (share(out.get(a)), share(into.get(b)));
        let Some(start) = nodes.get_mut(from).and_then(|column| column.get_mut(*a)) else {
            continue;
        };
        let wide_out = start.height * share_out;
        let y = start.out + wide_out / 2.0;
        start.out += wide_out;
        let text = format!("{} → {b}: {} items", start.label, items.len());
        let Some(end) = nodes.get_mut(from + 1).and_then(|column| column.get_mut(*b)) else {
            continue;
        };
        let wide_in = end.height * share_in;
        let to_y = end.into + wide_in / 2.0;
        end.into += wide_in;
        let x = COLUMNS.get(from).copied().unwrap_or_default() + NODE;
        let to_x = COLUMNS.get(from + 1).copied().unwrap_or_default();
        bands.push(Band {
            from: (x, y),
            to: (to_x, to_y),
            width: wide_out.min(wide_in).max(1.2),
            fresh: fresh.len() as f64 / items.len().max(1) as f64,
            text,
        });
    }
}
