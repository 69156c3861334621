//! What is looked up when metrics are read, and counted by nobody in between: states,
//! ages, room. Looks write what they see on a sheet, which is then told in one piece.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::names::{MetricKind, Name};

/// A label's name and value. Values come from the configuration or from closed lists,
/// never from who asks.
pub type Label = (&'static str, String);

/// What the looks of one reading have seen.
#[derive(Debug, Default)]
pub struct Sheet(Vec<(&'static Name, Vec<Label>, f64)>);

impl Sheet {
    /// Writes a value.
    pub fn put(&mut self, name: &'static Name, labels: Vec<Label>, value: f64) {
        self.0.push((name, labels, value));
    }

    /// Writes a number of things that has no labels.
    pub fn count(&mut self, name: &'static Name, count: usize) {
        // Exact up to 2^53.
        self.put(name, Vec::new(), count as f64);
    }

    fn encode(mut self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        self.0.sort_by_key(|(name, ..)| name.stem);
        for group in self.0.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((name, ..)) = group.first() else { continue };
            let (unit, kind) = (name.unit(), name.kind);
            let kind =
                if kind == MetricKind::Counter { MetricType::Counter } else { MetricType::Gauge };
            let help = format!("{}.", name.help);
            let mut metric = encoder.encode_descriptor(name.stem, &help, unit.as_ref(), kind)?;
            for (name, labels, value) in group {
                let mut series = metric.encode_family(labels)?;
                match name.kind {
                    MetricKind::Counter => {
                        series.encode_counter::<NoLabelSet, _, f64>(value, None)?
                    }
                    MetricKind::Gauge | MetricKind::Histogram => series.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

/// A look: writes what it sees.
pub type Look = Box<dyn Fn(&mut Sheet) + Send + Sync>;

/// Everything that is looked at.
pub(super) struct Looks(pub(super) Vec<Look>);

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Looks({})", self.0.len())
    }
}

impl Collector for Looks {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut sheet = Sheet::default();
        self.0.iter().for_each(|look| look(&mut sheet));
        sheet.encode(&mut encoder)
    }
}
