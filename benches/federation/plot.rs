//! The figures as one picture: the rates beside each other, and below them how the
//! cost grows.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::growth::Curve;
use crate::report::{Kind, Report};
use crate::targets::BUSY;

const SIZE: (u32, u32) = (1080, 900);
const COLUMNS: usize = 3;
const TEXT: (&str, u32) = ("sans-serif", 14);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a report into a file.
pub fn draw(report: &Report, file: &Path) -> anyhow::Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let (top, below) = area.split_vertically(300);
    rates(report, &top)?;
    let rows = report.curves.len().div_ceil(COLUMNS).max(1);
    for (curve, place) in report.curves.iter().zip(below.split_evenly((rows, COLUMNS))) {
        self::curve(curve, &place)?;
    }
    area.present().map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the plot cannot be drawn: {error}")
}

/// A bar for each row, with the least and the most of its rounds as a line.
fn rates(report: &Report, area: &Area<'_>) -> anyhow::Result<()> {
    let busy = report.measured.iter().filter(|m| m.cell.kind == Kind::Rate(BUSY));
    let rates: Vec<_> =
        busy.filter_map(|m| Some((m.cell.row.clone(), m.figures.get("rate")?.clone()))).collect();
    let most = rates.iter().map(|(_, rate)| rate.range().1).fold(1.0, f64::max) * 1.1;
    let names: Vec<String> = rates.iter().map(|(name, _)| name.clone()).collect();
    let mut chart = ChartBuilder::on(area)
        .caption(format!("Profiles a second, {BUSY} in flight"), TEXT)
        .margin(10)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d((0..rates.len().max(1)).into_segmented(), 0.0..most)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_label_formatter(&|segment| match segment {
            SegmentValue::CenterOf(place) => names.get(*place).cloned().unwrap_or_default(),
            _ => String::new(),
        })
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()
        .map_err(failed)?;
    let bars = rates.iter().enumerate().map(|(place, (_, rate))| {
        let corners =
            [(SegmentValue::Exact(place), 0.0), (SegmentValue::Exact(place + 1), rate.median())];
        let mut bar = Rectangle::new(corners, BLUE.mix(0.5).filled());
        bar.set_margin(0, 0, 12, 12);
        bar
    });
    chart.draw_series(bars).map_err(failed)?;
    let spreads = rates.iter().enumerate().map(|(place, (_, rate))| {
        let (least, most) = rate.range();
        let at = |rate| (SegmentValue::CenterOf(place), rate);
        PathElement::new(vec![at(least), at(most)], BLACK)
    });
    chart.draw_series(spreads).map_err(failed)?;
    Ok(())
}

/// The gateway's CPU time a profile, in blue, and the agencies' together, in red.
fn curve(curve: &Curve, area: &Area<'_>) -> anyhow::Result<()> {
    let gateway: Vec<(f64, f64)> =
        curve.points.iter().map(|point| (point.at, point.gateway_cpu.median())).collect();
    let agencies: Vec<(f64, f64)> =
        curve.points.iter().map(|point| (point.at, point.agencies_cpu.median())).collect();
    let furthest = gateway.iter().map(|(at, _)| *at).fold(1.0, f64::max);
    let most = gateway.iter().chain(&agencies).map(|(_, cpu)| *cpu).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("CPU µs a profile: {}", curve.name), TEXT)
        .margin(10)
        .x_label_area_size(24)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..furthest, 0.0..most)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|at| format!("{at:.0}"))
        .y_label_formatter(&|cpu| format!("{cpu:.0}"))
        .draw()
        .map_err(failed)?;
    for (line, colour) in [(gateway, BLUE), (agencies, RED)] {
        let dots = line.clone().into_iter().map(move |at| Circle::new(at, 3, colour.filled()));
        chart.draw_series(LineSeries::new(line, colour)).map_err(failed)?;
        chart.draw_series(dots).map_err(failed)?;
    }
    Ok(())
}
